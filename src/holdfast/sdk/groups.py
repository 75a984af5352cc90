"""Parallel steps given as callables, for synchronous functions and for those of the official SDK."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from holdfast.sdk.consts import ParallelMode
from holdfast.sdk.execution import Interrupt, Missing, Skip, enter_group, leave_group

T = TypeVar("T")


class Group:
    """Groups of steps of an asynchronous function. `asyncio.gather` and `TaskGroup` do as well."""

    async def parallel(
        self,
        callables: tuple[Callable[[], Awaitable[T]], ...],
        parallel_mode: ParallelMode = ParallelMode.WAIT,
    ) -> tuple[T, ...]:
        """Take several steps at once; return their results in order.

        Each callable may take steps after each other. With `ParallelMode.RACE` it goes on as soon as its own step is
        done, at the price of more requests.
        """
        outputs: list[T] = []
        scope, token = enter_group(parallel_mode)
        try:
            for each in callables:
                try:
                    outputs.append(await each())
                except Interrupt as interrupt:
                    scope.found.extend(interrupt.results)
                except Skip as skip:
                    outputs.append(cast("T", Missing(skip.step_id)))
        except BaseException:
            scope.found.clear()
            raise
        finally:
            leave_group(scope, token)
        return tuple(outputs)


class GroupSync:
    """Groups of steps of a synchronous function."""

    def parallel(
        self, callables: tuple[Callable[[], T], ...], parallel_mode: ParallelMode = ParallelMode.WAIT
    ) -> tuple[T, ...]:
        """Take several steps at once; return their results in order. See `Group.parallel`."""
        outputs: list[T] = []
        scope, token = enter_group(parallel_mode)
        try:
            for each in callables:
                try:
                    outputs.append(each())
                except Interrupt as interrupt:
                    scope.found.extend(interrupt.results)
                except Skip as skip:
                    outputs.append(cast("T", Missing(skip.step_id)))
        except BaseException:
            scope.found.clear()
            raise
        finally:
            leave_group(scope, token)
        return tuple(outputs)
