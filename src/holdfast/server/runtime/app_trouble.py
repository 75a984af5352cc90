"""What is wrong with an app that can't be synced, and what to try."""

from __future__ import annotations

from typing import Final

from holdfast.server.activity.happening import Happening, What
from holdfast.server.model.app import AppRecord

UNREACHABLE: Final = "unreachable"

_TEXTS: Final = {
    "unauthorized": ("its signing key and this server's differ", "set the same key for both"),
    "forbidden": ("the app refuses this server (403)", "check for a proxy or login in front of it"),
    "url_not_found": ("the server there has no app at this path (404)", "check the path in its URL"),
    "internal_server_error": ("the app answers with an error (500)", "check its log"),
    "no_functions": ("the app serves no functions", "pass functions to its serve()"),
    "invalid_function": ("a function of the app is invalid", "check its log"),
    "missing_signing_key": ("the app has no signing key", "set INNGEST_SIGNING_KEY for it, or INNGEST_DEV=1"),
    "invalid_signing_key": ("the app's signing key is not this server's", "set the same key for both"),
    "missing_server_signing_key": ("this server has no signing key", "give it one with --signing-key"),
    "unsupported_protocol": ("its URL can't be called", "use http:// or https://"),
}


def trouble(app: AppRecord, error: str, answered: int, now: int) -> Happening:
    """Return what to tell of an app with an error (a code, or a text); `answered` is when it was well last, or 0."""
    if error == UNREACHABLE:
        hint = f"start it, or remove it: holdfast apps remove {app.name or 'URL'}"
        return Happening(
            what=What.APP_UNREACHABLE, time=now, app=app.name, url=app.url, error=error, since=answered, hint=hint
        )
    text, hint = _TEXTS.get(error, (error, ""))
    return Happening(what=What.APP_ERROR, time=now, app=app.name, url=app.url, error=text, hint=hint)
