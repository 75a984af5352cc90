"""Parallel steps given as callables, for synchronous functions and for those of the official SDK."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from holdfast.sdk.consts import ParallelMode
from holdfast.sdk.context import get_step_context
from holdfast.sdk.execution import Interrupt, Missing, Skip, enter_group, leave_group
from holdfast.sdk.experiments import ExperimentResult, Selection, check_variants, running
from holdfast.sdk.scores import ExperimentRef

if TYPE_CHECKING:
    from holdfast.sdk.step import Step
    from holdfast.sdk.step_sync import StepSync

T = TypeVar("T")


class Group:
    """Groups of steps of an asynchronous function. `asyncio.gather` and `TaskGroup` do as well."""

    async def experiment(
        self, experiment_id: str, *, variants: Mapping[str, Callable[[], Awaitable[T]]], select: Selection
    ) -> ExperimentResult[T]:
        """Run one of several variants: chosen once for a run, and told with each of its steps.

        Args:
            experiment_id: Names the experiment; it is the id of a step, too.
            variants: Callables by their names; each takes at least one step.
            select: How to choose: `fixed`, `weighted`, `bucket` or `custom` of `holdfast.experimental.experiment`.

        Raises:
            ValueError: There is no name, or no variant.

        """
        check_variants(experiment_id, variants)
        step = cast("Step", get_step_context())
        chosen = await step._choose(experiment_id, list(variants), select)  # noqa: SLF001 - a part of it
        with running(experiment_id, chosen, variants) as variant:
            result = await variants[variant]()
        return ExperimentResult(result, variant, ExperimentRef(experiment_name=experiment_id, variant=variant))

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

    def experiment(
        self, experiment_id: str, *, variants: Mapping[str, Callable[[], T]], select: Selection
    ) -> ExperimentResult[T]:
        """Run one of several variants. See `Group.experiment`."""
        check_variants(experiment_id, variants)
        step = cast("StepSync", get_step_context())
        chosen = step._choose(experiment_id, list(variants), select)  # noqa: SLF001 - a part of it
        with running(experiment_id, chosen, variants) as variant:
            result = variants[variant]()
        return ExperimentResult(result, variant, ExperimentRef(experiment_name=experiment_id, variant=variant))

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
