"""What is wrong with an app that can't be synced, and what to try."""

from __future__ import annotations

from typing import Final

from holdfast.server.activity.happening import Happening, What
from holdfast.server.model.app import AppRecord

UNREACHABLE: Final = "unreachable"

_TEXTS: Final = {
    "unauthorized": ("its signing key and this server's don't fit", "give both the same"),
    "forbidden": ("the app refuses this server (403)", "look for a proxy or a login in front of it"),
    "url_not_found": ("a server answers, but there is no app at this path (404)", "look at the path in its URL"),
    "internal_server_error": ("the app answers with an error of its own (500)", "look into its log"),
    "no_functions": ("the app serves no functions", "give its serve() some"),
    "invalid_function": ("a function of the app is invalid", "look into its log"),
    "missing_signing_key": ("the app has no signing key", "set INNGEST_SIGNING_KEY for it, or INNGEST_DEV=1"),
    "invalid_signing_key": ("the app's signing key is not this server's", "have both use the same"),
    "missing_server_signing_key": ("this server has no signing key", "give it one with --signing-key"),
    "unsupported_protocol": ("its URL is none that can be called", "use http:// or https://"),
}


def trouble(app: AppRecord, error: str, answered: int, now: int) -> Happening:
    """What to tell of an app with an error (a code, or a text); `answered` is when it was well last, or 0."""
    if error == UNREACHABLE:
        hint = f"start it, or forget it: holdfast apps remove {app.name or 'URL'}"
        return Happening(
            what=What.APP_UNREACHABLE, time=now, app=app.name, url=app.url, error=error, since=answered, hint=hint
        )
    text, hint = _TEXTS.get(error, (error, ""))
    return Happening(what=What.APP_ERROR, time=now, app=app.name, url=app.url, error=text, hint=hint)
