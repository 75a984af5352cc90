"""Errors about values that users pass: those of Pydantic where it is installed, as callers of such models expect."""

from __future__ import annotations


class InvalidValueError(ValueError):
    """A value is of the wrong type; raised where Pydantic is not installed."""


def validation_error(title: str, field: str, kind: str, message: str, value: object) -> ValueError:
    """Make the error for a field of a model; `kind` and `message` are Pydantic's."""
    try:
        from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError  # noqa: PLC0415 - optional
    except ImportError:
        return InvalidValueError(f"{title}.{field}: {message} (got {value!r})".replace("..", "."))
    error = PydanticCustomError(kind, message)  # pyright: ignore[reportArgumentType]
    details = InitErrorDetails(type=error, loc=(field,) if field else (), input=value)
    return ValidationError.from_exception_data(title, [details])
