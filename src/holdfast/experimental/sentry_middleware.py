"""Errors of functions and steps in Sentry, with the run that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sentry_sdk

from holdfast.sdk.middleware import MiddlewareSync

if TYPE_CHECKING:
    from holdfast.sdk.client import Inngest
    from holdfast.sdk.context import Context, ContextSync
    from holdfast.sdk.function import Function
    from holdfast.sdk.memos import StepMemos
    from holdfast.sdk.middleware import TransformOutputResult


class SentryMiddleware(MiddlewareSync):
    """Tags what Sentry gets with app, function, run and event, and captures errors."""

    def __init__(self, client: Inngest, raw_request: object) -> None:
        super().__init__(client, raw_request)
        if not sentry_sdk.is_initialized():
            client.logger.warning("Sentry SDK is not initialized")
        sentry_sdk.set_tag("inngest.app.id", client.app_id)

    def transform_input(self, ctx: Context | ContextSync, function: Function[Any], steps: StepMemos) -> None:  # noqa: ARG002
        """Tag what this request reports."""
        tags = {
            "inngest.event.count": len(ctx.events),
            "inngest.event.id": ctx.event.id,
            "inngest.event.name": ctx.event.name,
            "inngest.function.id": function.local_id,
            "inngest.function.name": function.name,
            "inngest.run.id": ctx.run_id,
        }
        for name, value in tags.items():
            sentry_sdk.set_tag(name, value)

    def transform_output(self, result: TransformOutputResult) -> None:
        """Capture the error of a function or a step."""
        if result.error is not None:
            sentry_sdk.capture_exception(result.error)

    def before_response(self) -> None:
        """Send before a serverless platform stops the process."""
        sentry_sdk.flush()
