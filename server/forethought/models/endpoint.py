"""What an endpoint's errors mean, for the person who can mend it: each names one fault, and the setting for it."""

__all__ = ["Endpoint", "refusal_of"]

import re
import socket
import ssl
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.request import getproxies, proxy_bypass

import httpx2
import openai

from forethought.address import Address
from forethought.models.replies import ReplyError, shown
from forethought.models.ways import Refusal
from forethought_tools import JSON, ModelError
from forethought_tools.text import as_text, one_line

_CREDIT = "Add credit, or set FORETHOUGHT_API_KEY to a key that has some."
_PATH = "the path of FORETHOUGHT_BASE_URL (most end in /v1)"
# What a status means, and what to mend.
_STATUS: Mapping[int, tuple[str, str]] = {
    401: ("does not accept the key", "Set FORETHOUGHT_API_KEY to a key of this endpoint."),
    402: ("wants to be paid", _CREDIT),
    403: ("does not allow this", "Check what FORETHOUGHT_API_KEY may use, or FORETHOUGHT_MODEL."),
    404: ("is not there", f"Check FORETHOUGHT_MODEL, and {_PATH}."),
    405: ("is not there", f"Check {_PATH}."),
    407: ("is behind a proxy that wants a password", "Put it into HTTPS_PROXY, or name the host in NO_PROXY."),
    408: ("did not answer in time", "Set FORETHOUGHT_MODEL or FORETHOUGHT_BASE_URL to something faster."),
    413: ("finds the question too long", "Shorten the material, or set FORETHOUGHT_MODEL to one that takes more."),
    429: ("has had too many requests", "Wait, or check the limits and credit of FORETHOUGHT_API_KEY."),
}
_FAILED = ("failed", "Try again later, or set FORETHOUGHT_BASE_URL to another endpoint.")
_REFUSED = ("refused the question", "Check that FORETHOUGHT_MODEL is a chat model, and FORETHOUGHT_MODEL_OPTIONS.")
_UNUSABLE = ("gave no usable response", "Check that FORETHOUGHT_BASE_URL is an OpenAI-compatible API.")
# Some statuses say less than the words with them.
_WORDS: tuple[tuple[re.Pattern[str], int, frozenset[int]], ...] = (
    (
        re.compile(r"insufficient[ _](quota|balance|credit|fund)|billing|payment|out of credit"),
        402,
        frozenset({400, 403, 429}),
    ),
    (re.compile(r"api[ _-]?key|unauthori[sz]ed|authentication"), 401, frozenset({400, 403})),
    (
        re.compile(r"context (length|window|size)|too long|maximum context|reduce the length"),
        413,
        frozenset({400, 422, 500}),
    ),
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model and where it answers."""

    model: str
    address: Address
    secrets: Collection[str] = field(default=(), repr=False)
    """What no message may show."""

    def explained(self, error: Exception) -> ModelError:
        """An error of the endpoint as one of ours, which says what to mend."""
        what, mend = _meaning(error, proxied=self._is_proxied())
        problem = f"{self.model} at {self.where} {what}: {self.safe(_words(error))}. {mend}"
        return ModelError(problem, transient=_may_pass(error))

    def safe(self, said: str) -> str:
        """What the endpoint said, on one line, without a key, which some repeat."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            said = said.replace(secret, "[key]")
        return one_line(said)[:400].rstrip(".")

    def _is_proxied(self) -> bool:
        scheme = (self.address.url or "https").partition(":")[0]
        host = self.address.host or "api.openai.com"
        return not self.address.is_here and bool({scheme, "all"} & getproxies().keys()) and not proxy_bypass(host)

    @property
    def where(self) -> str:
        return self.address.url or "the default endpoint"


def refusal_of(error: Exception) -> Refusal | None:
    """What an endpoint says instead of an answer, or none where it was not heard at all."""
    if isinstance(error, openai.APIStatusError):
        return Refusal(error.status_code, f"{error.message} {error.response.text}", _blamed(cast("JSON", error.body)))
    if isinstance(error, ReplyError) and (error.broken or error.error is not None):
        return Refusal(error.status or 200, "" if error.broken else as_text(error.error), _blamed(error.error))
    return None


def _blamed(body: JSON) -> str:
    """The field of an error that names what is to blame: `param`, or `loc` of a validator."""
    if not isinstance(body, Mapping):
        return ""
    details = body.get("detail")
    places = (
        [str(each.get("loc", "")) for each in details if isinstance(each, Mapping)] if isinstance(details, list) else []
    )
    return " ".join([str(body.get("param") or ""), *places]).strip()


def _meaning(error: Exception, *, proxied: bool) -> tuple[str, str]:
    refusal = refusal_of(error)
    if refusal is None:
        return _unheard(error, proxied=proxied)
    status = next(
        (status for words, status, of in _WORDS if refusal.status in of and words.search(refusal.said.casefold())), 0
    )
    if not status and 300 <= refusal.status < 400 and isinstance(error, openai.APIStatusError):
        to = error.response.headers.get("location", "").split("?")[0]
        return "has moved", f"Set FORETHOUGHT_BASE_URL to where it is now: {to.removesuffix('/chat/completions')}"
    status = status or refusal.status
    if status >= 500 and status != 501:
        return _FAILED
    return _STATUS.get(status, _UNUSABLE if status == 200 else _REFUSED)


def _unheard(error: Exception, *, proxied: bool) -> tuple[str, str]:
    """What keeps an endpoint from being heard."""
    causes = list(_causes(error))
    connecting = any(isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout) for cause in causes)
    if (proxied and connecting) or any(isinstance(cause, httpx2.ProxyError) for cause in causes):
        return "cannot be reached through the proxy", "Check HTTPS_PROXY, or name the host in NO_PROXY."
    if any(
        isinstance(cause, ssl.SSLCertVerificationError) or "certificate" in str(cause).casefold() for cause in causes
    ):
        return (
            "shows a certificate that is not trusted here",
            "Set SSL_CERT_FILE to the file of its authority, or correct the host in FORETHOUGHT_BASE_URL.",
        )
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "does not speak TLS", "Begin FORETHOUGHT_BASE_URL with http:// if it is meant to be without."
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "has a name that nobody knows", "Correct the host in FORETHOUGHT_BASE_URL, or the network."
    if any(isinstance(cause, openai.APITimeoutError | httpx2.TimeoutException) for cause in causes):
        return _STATUS[408]
    if isinstance(error, openai.APIConnectionError):
        return "cannot be reached", "Check FORETHOUGHT_BASE_URL and that the endpoint is running."
    if any(isinstance(cause, httpx2.TransportError) for cause in causes):
        return "broke off its answer", _FAILED[1]
    return _UNUSABLE


def _words(error: Exception) -> str:
    if isinstance(error, openai.APIStatusError):
        return f"{error.status_code}: {shown(error.response.text) or 'no more was said'}"
    causes = [str(cause) for cause in _causes(error) if str(cause)]
    return " ".join(dict.fromkeys(causes)) or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later."""
    refusal = refusal_of(error)
    if refusal is None:
        return not isinstance(error, ReplyError) and any(
            isinstance(cause, openai.APIConnectionError | httpx2.TransportError) for cause in _causes(error)
        )
    broke = _WORDS[0][0].search(refusal.said.casefold()) is not None
    return (refusal.status in (408, 409, 429) and not broke) or (refusal.status >= 500 and refusal.status != 501)
