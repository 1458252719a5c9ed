"""What an endpoint's errors mean: for the person who can mend it, and for whoever may ask in another form."""

__all__ = ["Endpoint", "blames_schema", "refuses_form"]

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import openai

from forethought_tools import ModelError
from forethought_tools.text import one_line

# What went wrong and what to mend, most particular class first.
_EXPLAINED: Mapping[type[openai.OpenAIError], tuple[str, str]] = {
    openai.APITimeoutError: (
        "did not answer in time",
        "Set FORETHOUGHT_MODEL or FORETHOUGHT_BASE_URL to something faster.",
    ),
    openai.APIConnectionError: (
        "cannot be reached",
        "Check FORETHOUGHT_BASE_URL and that the endpoint is running.",
    ),
    openai.AuthenticationError: (
        "does not accept the key",
        "Set FORETHOUGHT_API_KEY to a key of this endpoint.",
    ),
    openai.PermissionDeniedError: (
        "does not allow this",
        "Check what FORETHOUGHT_API_KEY may use, or FORETHOUGHT_MODEL.",
    ),
    openai.NotFoundError: (
        "is not there",
        "Check FORETHOUGHT_MODEL, and the path of FORETHOUGHT_BASE_URL (most end in /v1).",
    ),
    openai.RateLimitError: (
        "has had too many requests",
        "Wait, or check the limits and credit of FORETHOUGHT_API_KEY.",
    ),
    openai.InternalServerError: (
        "failed",
        "Try again later, or set FORETHOUGHT_BASE_URL to another endpoint.",
    ),
    openai.APIStatusError: (
        "refused the question",
        "Shorten the material if it is too long, or check that FORETHOUGHT_MODEL is a chat model.",
    ),
    openai.OpenAIError: (
        "gave no usable response",
        "Check that FORETHOUGHT_BASE_URL is an OpenAI-compatible API.",
    ),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model and where it answers."""

    model: str
    base_url: str | None
    api_key: str = field(repr=False)

    def explained(self, error: openai.OpenAIError) -> ModelError:
        """An error of the endpoint as one of ours, which says what to mend."""
        what, mend = next(explained for kind, explained in _EXPLAINED.items() if isinstance(error, kind))
        said = f"{error} {error.__cause__ or ''}".strip()
        problem = f"{self.model} at {self._where()} {what}: {self.safe(said)}. {mend}"
        return ModelError(problem, transient=_may_pass(error))

    def safe(self, said: str) -> str:
        """What the endpoint said, on one line, without the key, which some repeat."""
        hidden = said if self.api_key in ("", "none") else said.replace(self.api_key, "[key]")
        return one_line(hidden)[:400].rstrip(".")

    def _where(self) -> str:
        if self.base_url is None:
            return "the default endpoint"
        parts = urlsplit(self.base_url)  # may hold a password
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _may_pass(error: openai.OpenAIError) -> bool:
    """Whether the same request may succeed later."""
    if isinstance(error, openai.APIConnectionError):
        return True
    status = error.status_code if isinstance(error, openai.APIStatusError) else 0
    broke = getattr(error, "code", None) == "insufficient_quota"
    return (status in (408, 409, 429) and not broke) or status >= 500


def refuses_form(error: openai.APIStatusError) -> bool:
    """Whether another form of the same question may be accepted. One that is too long will not be."""
    return error.status_code in (400, 415, 422, 501) and "context" not in f"{error.code} {error.message}".lower()


def blames_schema(error: openai.APIStatusError) -> bool:
    """Whether the endpoint calls this schema invalid, which says nothing about other schemas."""
    return re.search(r"invalid schema|schema conversion|grammar", error.message, re.IGNORECASE) is not None
