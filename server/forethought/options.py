"""What a person sends along with every question to an endpoint: parameters, headers, a time limit."""

__all__ = ["ModelOptions", "read_options", "secret_values"]

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from forethought_tools import JSON, SettingsError

_OURS = ("model", "messages", "stream", "stream_options", "response_format", "n", "tools")
_HARMLESS = frozenset(
    {"http-referer", "referer", "origin", "x-title", "user-agent", "accept", "accept-language", "content-type"}
    | {"openai-beta", "anthropic-version", "anthropic-beta"}
)
_SECRET = re.compile(r"key|token|secret|passw|credential|auth|cookie|signature|^sig$", re.IGNORECASE)
_LONG = 20  # characters that no plain word has
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Options of a model at an endpoint."""

    body: Mapping[str, JSON] = field(default_factory=dict[str, JSON], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: float | None = None
    """Seconds for one request, where somebody has set them."""

    def over(self, other: "ModelOptions") -> "ModelOptions":
        """These, and of the others what these do not set."""
        timeout = other.timeout if self.timeout is None else self.timeout
        return ModelOptions({**other.body, **self.body}, {**other.headers, **self.headers}, timeout)

    @property
    def secrets(self) -> frozenset[str]:
        """What may be a key: by its name, or, in a header that nobody knows, by its look. Plain words are none: they
        would be taken out of everything that is written."""
        headers = [value for name, value in self.headers.items() if _may_be_key(name, value)]
        tokens = [value.split(" ", 1)[1] for value in headers if " " in value]
        return frozenset([*headers, *tokens, *secret_values(self.body)])


def _may_be_key(name: str, value: str) -> bool:
    if _SECRET.search(name):
        return True
    return name.casefold() not in _HARMLESS and (len(value) >= _LONG or any(sign.isdigit() for sign in value))


def secret_values(value: JSON, name: str = "") -> list[str]:
    """What stands under a name that a key or a password has."""
    if isinstance(value, Mapping):
        return [secret for key, part in value.items() for secret in secret_values(part, key)]
    return [value] if isinstance(value, str) and _SECRET.search(name) else []


def read_options(text: str, key: str) -> ModelOptions:
    """Options written as a JSON object, or as `name=value,name=value`.

    Raises:
        SettingsError: they cannot be used; the message names the key.
    """
    given = _object(text.strip(), key)
    headers = given.pop("headers", given.pop("extra_headers", {}))
    timeout = given.pop("timeout", None)
    extra = given.pop("extra_body", {})
    if not isinstance(extra, Mapping):
        raise SettingsError(f"{key}: extra_body is an object of parameters.")
    body = {**given, **extra}
    if ours := [name for name in _OURS if name in body]:
        raise SettingsError(f"{key}: {', '.join(ours)} is for forethought to choose. Leave it out.")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0):
        raise SettingsError(f"{key}: timeout is a number of seconds above 0.")
    return ModelOptions(body, _headers(headers, key), timeout)


def _object(text: str, key: str) -> dict[str, JSON]:
    if not text:
        return {}
    if not text.startswith("{"):
        pairs = [part.partition("=") for part in text.split(",")]
        if all(name.strip() and sign for name, sign, _ in pairs):
            return {name.strip(): _value(value.strip()) for name, _, value in pairs}
        raise SettingsError(f"{key}: use a JSON object, or name=value,name=value such as reasoning_effort=low.")
    try:
        return cast("dict[str, JSON]", json.loads(text))
    except ValueError as error:
        # The text itself may hold a key.
        raise SettingsError(f'{key}: no JSON object ({error}). Write {{"reasoning_effort": "low"}}.') from None


def _value(text: str) -> JSON:
    try:
        return cast("JSON", json.loads(text))
    except ValueError:
        return text


def _headers(headers: JSON, key: str) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise SettingsError(f'{key}: headers is an object such as {{"X-Team": "planning"}}.')
    for name, value in headers.items():
        usable = isinstance(value, str) and value.isascii() and value.isprintable() and _HEADER.fullmatch(name)
        if not usable:
            raise SettingsError(f"{key}: the header {name!r} cannot be sent. Its value is text of printable ASCII.")
    return {name: str(value).strip() for name, value in headers.items()}
