"""Adapters to providers of models, for `step.ai.infer`."""

from __future__ import annotations

from typing import Any, Protocol


class BaseAdapter(Protocol):
    """What the server has to know to call a provider."""

    def auth_key(self) -> str:
        """Return the provider's key."""
        ...

    def format(self) -> str:
        """Return the format of bodies: `openai-chat`, `anthropic` or `gemini`."""
        ...

    def headers(self) -> dict[str, str]:
        """Return headers that are added."""
        ...

    def on_call(self, body: dict[str, Any]) -> None:
        """Complete the body of a call, in place."""
        ...

    def url_infer(self) -> str:
        """Return the URL to call."""
        ...


class ModelAdapter:
    """An adapter whose provider takes the model's name in the body."""

    _format = "openai-chat"
    _base_url = ""
    _path = "/chat/completions"

    def __init__(
        self, *, auth_key: str, model: str, base_url: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self._auth_key = auth_key
        self._model = model
        self._url = (base_url or self._base_url).rstrip("/")
        self._headers = {**self._default_headers(), **(headers or {})}

    def auth_key(self) -> str:
        """Return the provider's key."""
        return self._auth_key

    def format(self) -> str:
        """Return the format of bodies."""
        return self._format

    def headers(self) -> dict[str, str]:
        """Return headers that are added."""
        return dict(self._headers)

    def on_call(self, body: dict[str, Any]) -> None:
        """Name the model, unless the body does."""
        body.setdefault("model", self._model)

    def url_infer(self) -> str:
        """Return the URL to call."""
        return self._url + self._path

    def _default_headers(self) -> dict[str, str]:
        return {}


class OpenAI(ModelAdapter):
    """OpenAI's chat completions."""

    _base_url = "https://api.openai.com/v1"


class DeepSeek(ModelAdapter):
    """DeepSeek's chat completions."""

    _base_url = "https://api.deepseek.com/v1"


class Grok(ModelAdapter):
    """Grok's chat completions."""

    _base_url = "https://api.x.ai/v1"


class Anthropic(ModelAdapter):
    """Anthropic's messages."""

    _format = "anthropic"
    _base_url = "https://api.anthropic.com/v1"
    _path = "/messages"

    def _default_headers(self) -> dict[str, str]:
        return {"anthropic-version": "2023-06-01"}


class Gemini(ModelAdapter):
    """Gemini's content generation. The server adds the key; it is not part of the URL here."""

    _format = "gemini"
    _base_url = "https://generativelanguage.googleapis.com/v1beta"

    def on_call(self, body: dict[str, Any]) -> None:
        """Leave the body as it is: the model is part of the URL."""

    def url_infer(self) -> str:
        """Return the URL to call."""
        return f"{self._url}/models/{self._model}:generateContent"
