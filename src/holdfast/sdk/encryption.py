"""Encryption of outputs and of one field of events, byte-compatible with the official middleware (`[encryption]`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

import nacl.encoding
import nacl.exceptions
import nacl.hash
import nacl.secret

from holdfast.sdk.consts import Opcode
from holdfast.sdk.logs import log
from holdfast.sdk.middleware import MiddlewareSync
from holdfast.sdk.typed import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.sdk.client import Inngest
    from holdfast.sdk.context import Context, ContextSync
    from holdfast.sdk.events import Event
    from holdfast.sdk.function import Function
    from holdfast.sdk.memos import StepMemos
    from holdfast.sdk.middleware import TransformOutputResult

_MARK: Final = "__ENCRYPTED__"
_STRATEGY: Final = "__STRATEGY__"
_LIBSODIUM: Final = "inngest/libsodium"
_FIELD: Final = "encrypted"


class DecryptionError(Exception):
    """No key fits what is encrypted."""


class EncryptionMiddleware(MiddlewareSync):
    """Encrypts outputs, and the field `encrypted` of events and invocations; decrypts what comes back.

    Args:
        client: The app's client.
        raw_request: The framework's request.
        secret_key: A passphrase, or 32 bytes as hex in `bytes`.
        decrypt_only: Encrypt nothing: for the time before all apps can decrypt.
        event_encryption_field: The field of event data that is encrypted.
        fallback_decryption_keys: Older keys.

    """

    def __init__(
        self,
        client: Inngest,
        raw_request: object,
        secret_key: bytes | str,
        *,
        decrypt_only: bool = False,
        event_encryption_field: str = _FIELD,
        fallback_decryption_keys: list[bytes | str] | None = None,
    ) -> None:
        super().__init__(client, raw_request)
        self._boxes = [_box(key) for key in (secret_key, *(fallback_decryption_keys or []))]
        self._decrypt_only = decrypt_only
        self._field = event_encryption_field

    @classmethod
    def factory(
        cls,
        secret_key: bytes | str,
        *,
        decrypt_only: bool = False,
        event_encryption_field: str = _FIELD,
        fallback_decryption_keys: list[bytes | str] | None = None,
    ) -> Callable[[Inngest, object], EncryptionMiddleware]:
        """Return what a client's or a function's `middleware` takes."""
        return lambda client, raw_request: cls(
            client,
            raw_request,
            secret_key,
            decrypt_only=decrypt_only,
            event_encryption_field=event_encryption_field,
            fallback_decryption_keys=fallback_decryption_keys,
        )

    def before_send_events(self, events: list[Event]) -> None:
        """Encrypt the field of events."""
        for event in events:
            event.data = self._hidden(event.data)

    def transform_input(self, ctx: Context | ContextSync, function: Function[Any], steps: StepMemos) -> None:  # noqa: ARG002
        """Decrypt memoised steps and events."""
        for step in steps.values():
            step.data = self._decrypt(step.data)
        for event in (ctx.event, *ctx.events):
            event.data = self._shown(event.data)

    def transform_output(self, result: TransformOutputResult) -> None:
        """Encrypt outputs, and the field of invocations."""
        if self._decrypt_only:
            return
        step = result.step
        if result.has_output() and (step is None or step.op is Opcode.STEP_RUN):
            result.output = self._encrypt(result.output)
        if step is not None and step.op is Opcode.INVOKE and step.opts is not None:
            payload = step.opts["payload"]
            step.opts["payload"] = {**payload, "data": self._hidden(payload.get("data"))}

    def _hidden(self, data: Any) -> Any:
        if self._decrypt_only or not isinstance(data, dict):
            return cast("object", data)
        found = cast("dict[str, Any]", data)
        if found.get(self._field) is None:
            return found
        return {**found, self._field: self._encrypt(found[self._field])}

    def _shown(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        if _is_encrypted(data):
            rest = {name: value for name, value in data.items() if name not in {_MARK, _STRATEGY, "data"}}
            return {**rest, **cast("dict[str, Any]", self._decrypt(data))}
        for name in sorted(data, key=lambda each: each != self._field):
            if _is_encrypted(data[name]):
                return {**data, name: self._decrypt(data[name])}
        return data

    def _encrypt(self, value: object) -> object:
        if isinstance(value, dict) and cast("dict[str, Any]", value).get(_MARK) is True:
            log(self.client.logger, "warning", "Skipping encryption since data is already encrypted")
            return cast("object", value)
        text = json.dumps(to_json(value)).encode()  # pyright: ignore[reportUnknownArgumentType]
        cipher = self._boxes[0].encrypt(text, encoder=nacl.encoding.Base64Encoder)
        return {_MARK: True, _STRATEGY: _LIBSODIUM, "data": cipher.decode()}

    def _decrypt(self, value: Any) -> Any:
        if not _is_encrypted(value) or not isinstance(value.get("data"), str):
            return value
        for box in self._boxes:
            try:
                return json.loads(box.decrypt(value["data"].encode(), encoder=nacl.encoding.Base64Encoder))
            except (nacl.exceptions.CryptoError, ValueError):
                continue
        raise DecryptionError("Failed to decrypt data")


def _box(key: bytes | str) -> nacl.secret.SecretBox:
    if isinstance(key, str):
        key = nacl.hash.generichash(key.encode(), digest_size=nacl.secret.SecretBox.KEY_SIZE)
    return nacl.secret.SecretBox(key, encoder=nacl.encoding.HexEncoder)


def _is_encrypted(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    found = cast("dict[str, Any]", value)
    return found.get(_MARK) is True and found.get(_STRATEGY) == _LIBSODIUM
