"""The address of an endpoint as people write it: pasted whole, without its scheme, with a query, with a password."""

__all__ = ["Address", "read_address"]

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from forethought.options import secret_values
from forethought_tools import SettingsError

_PASTED = re.compile(r"/(?:chat/completions|completions|responses|chat|models)/*$")
_NOT_ENCODED = re.compile(r"%(?![0-9A-Fa-f]{2})|\s")
_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_NEAR = (".local", ".lan", ".internal", ".localhost")


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint is, and what goes with every request to it."""

    url: str | None = None
    """Without a user, a query or a slash at its end; none for the default endpoint."""
    query: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    password: str = field(default="", repr=False)

    @property
    def secrets(self) -> frozenset[str]:
        """What may be a key in the query or the headers."""
        tokens = [value.removeprefix("Basic ") for value in self.headers.values()]
        return frozenset([*self.headers.values(), *tokens, *secret_values(self.query), self.password]) - {""}

    @property
    def host(self) -> str:
        return urlsplit(self.url or "").hostname or ""

    @property
    def is_here(self) -> bool:
        """Whether it is this machine's own loopback, which no proxy can reach."""
        return self.host in ("localhost", "127.0.0.1", "::1")


def read_address(text: str | None, *, model: str = "", api_key: str = "", key: str = "FORETHOUGHT_BASE_URL") -> Address:
    """What a base URL means. Raises SettingsError where it is none."""
    if not text or not text.strip():
        return Address()
    text = text.strip().strip("\"'")
    try:
        parts = urlsplit(text if "://" in text else f"{_scheme(text)}://{text.lstrip('/')}")
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        whole = whole and parts.netloc.count("@") < 2 and not _NOT_ENCODED.search(text)
    except ValueError:
        parts, whole = urlsplit(""), False
    if not whole:
        raise SettingsError(
            f"{key}: not an address of an endpoint. Use http:// or https://, a host and a path;"
            " what is special in a user or a password is percent-encoded: @ as %40, % as %25."
        )
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    azure = "api-version" in query or (parts.hostname or "").endswith(_AZURE)
    path = _PASTED.sub("", parts.path.rstrip("/")).rstrip("/")
    if azure and (parts.hostname or "").endswith(_AZURE) and "/openai" not in path:
        path += f"/openai/deployments/{model}" if "api-version" in query else "/openai/v1"
    elif azure and path.endswith("/openai"):
        path += f"/deployments/{model}"
    headers = {"api-key": api_key} if azure and api_key and not api_key.startswith("eyJ") else {}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    return Address(
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}", query, headers, unquote(parts.password or "")
    )


def _scheme(text: str) -> str:
    """What stands before an address that names no scheme: machines nearby rarely have a certificate."""
    host = urlsplit(f"http://{text.lstrip('/')}").hostname or ""
    try:
        near = ipaddress.ip_address(host).is_private or ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = "." not in host or host.endswith(_NEAR)
    return "http" if near else "https"
