"""Encryption of outputs and events, by the keys of an app."""

from holdfast.sdk.encryption import DecryptionError, EncryptionMiddleware

__all__ = ["DecryptionError", "EncryptionMiddleware"]
