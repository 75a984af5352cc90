"""The body of `POST /fn/register`: decoding it, recognising a repeated one (`protocol/execution.md` §1.4 to §1.6)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from holdfast.protocol.decode_errors import TOO_DEEP
from holdfast.protocol.function_decode import DecodeError, Fields, decode_function
from holdfast.protocol.go_json import GoJsonError, first_value
from holdfast.protocol.rawjson import UNREADABLE, mend, too_deep
from holdfast.protocol.urls import normalize_url

if TYPE_CHECKING:
    from holdfast.protocol.function_config import FunctionConfig

_decode_leniently: Final = msgspec.json.Decoder(float_hook=float).decode


class RegistrationError(ValueError):
    """A registration that can't be decoded; the message is the answer's `error`, `Invalid request: …`."""


class Registration(Struct, frozen=True):
    """What an SDK says about its app. URLs are normalised; `app_name` may be empty, which is for the caller to refuse.

    `sdk` is `<language>:v<version>`, also split. `feature_observations` is kept as JSON, empty if absent.
    """

    protocol_version: str = ""
    url: str = ""
    deploy_type: str = ""
    sdk: str = ""
    framework: str = ""
    app_name: str = ""
    app_version: str = ""
    functions: tuple[FunctionConfig, ...] = ()
    env: str = ""
    platform: str = ""
    idempotency_key: str = ""
    capabilities: dict[str, str] = {}
    feature_observations: bytes = b""

    @property
    def sdk_language(self) -> str:
        """The part of `sdk` before the colon, e.g. `py`."""
        return self.sdk.partition(":")[0]

    @property
    def sdk_version(self) -> str:
        """The part of `sdk` after the colon, e.g. `v0.5.18`."""
        return self.sdk.partition(":")[2]


def decode_registration(body: bytes) -> Registration:
    """Read a registration; raises RegistrationError with the text that the reference answers."""
    try:
        value = _decode(body)
        return Registration() if value is None else _registration(Fields(value, "RegisterRequest"))
    except (GoJsonError, DecodeError) as error:
        raise RegistrationError(f"Invalid request: {error}") from None


def checksum(body: bytes) -> str:
    """Hash what matters of a registration: not its layout, unknown keys or feature observations.

    Two bodies with the same checksum register the same app. Raises RegistrationError like `decode_registration`.
    """
    plain = msgspec.structs.replace(decode_registration(body), feature_observations=b"")
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


def _decode(body: bytes) -> object:
    if too_deep(body):
        raise GoJsonError(TOO_DEEP)
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        pass
    # Malformed, or what only Go accepts: text after the value, broken UTF-8, lone surrogates, numbers beyond doubles.
    try:
        return _decode_leniently(mend(first_value(body)))
    except RecursionError:
        raise GoJsonError(TOO_DEEP) from None
    except msgspec.DecodeError as error:
        raise GoJsonError(str(error)) from None


def _registration(fields: Fields) -> Registration:
    headers = fields.fields("headers", "Headers")
    observations = fields.get("featureObservations")
    return Registration(
        protocol_version=fields.text("v"),
        url=normalize_url(fields.text("url")),
        deploy_type=fields.text("deployType"),
        sdk=fields.text("sdk"),
        framework=fields.text("framework"),
        app_name=fields.text("appName"),
        app_version=fields.text("appVersion"),
        functions=tuple(
            decode_function(fields.nested(item, "SDKFunction", "functions"))
            for item in fields.items("functions", "[]sdk.SDKFunction")
        ),
        env=headers.text("env") if headers else "",
        platform=headers.text("platform") if headers else "",
        idempotency_key=fields.text("idempotencyKey"),
        capabilities=_capabilities(fields),
        feature_observations=b"" if observations is None else msgspec.json.encode(observations),
    )


def _capabilities(fields: Fields) -> dict[str, str]:
    part = fields.fields("capabilities", "Capabilities")
    if part is None:
        return {}
    return {key: part.text(key) for key in ("in_band_sync", "trust_probe", "connect") if part.has(key)}
