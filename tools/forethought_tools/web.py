"""Built in: fetch a page, search the web. Only public addresses are reached, unless the user allows all.

A name that changes its address does not get round the check: the connection goes to the address that was checked.
"""

__all__ = ["CheckedTransport", "anywhere", "fetch", "is_public", "web_tools"]

import codecs
import json
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from io import BytesIO
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Annotated, cast

import anyio
import httpx2
from anyio import to_thread
from pydantic import Field

from forethought_tools.encoding import encoding_in
from forethought_tools.errors import ToolError
from forethought_tools.risk import Risk
from forethought_tools.tool import JSON, Limits, Tool, tool

Address = IPv4Address | IPv6Address
MAX_BYTES = 5_000_000
MAX_TEXT = 100_000
MAX_MARKUP = 1_000_000
MAX_REDIRECTS = 5
SECONDS = 45.0
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; forethought)", "Accept-Encoding": "gzip, deflate"}
NAT64 = IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = IPv6Network("2000::/3")
# The encodings of the web, as Python calls them. Others that it knows fail whatever they are told (idna), take time
# that grows with the square of the text (punycode), or make text that no journal can hold (unicode_escape, utf-7).
ENCODINGS = re.compile(
    r"ascii|utf-(8|16|32)(-sig|-[bl]e)?|iso8859-\d+|cp(125\d|437|850|852|866|874|932|949|950)|koi8-[rtu]|mac-\w+|tis-620"
    r"|big5(hkscs)?|gb2312|gbk|gb18030|hz|euc_\w+|shift_jis\w*|iso2022_\w+|johab"
)
NO_SEARCH = "Set FORETHOUGHT_SEARXNG_URL to a SearXNG server, or check the network."


def web_tools(*, searxng_url: str | None = None, allow_private: bool = False) -> list[Tool]:
    """fetch_url and web_search."""
    permitted = anywhere if allow_private else is_public

    async def fetch_url(
        url: Annotated[str, Field(description="http:// or https:// address", max_length=4000)],
        start: Annotated[int, Field(description="Character to go on from, where a text was cut", ge=0)] = 0,
    ) -> str:
        """Fetch a web page, text or JSON document. Returns its text; a page becomes Markdown."""
        return await fetch(url, permitted, start)

    async def web_search(
        query: Annotated[str, Field(description="Search words", min_length=1, max_length=400)],
        max_results: Annotated[int, Field(description="At most so many", ge=1, le=20)] = 5,
    ) -> JSON:
        """Search the web. Returns [{title, url, snippet}]."""
        find = partial(ask_searxng, searxng_url) if searxng_url else ask_ddgs
        return await find(query, max_results)

    limits = Limits(timeout=60, attempts=3, at_once=4)
    return [
        tool(each, risk=Risk.LOW, repeatable=True, reads_only=True, limits=limits) for each in (fetch_url, web_search)
    ]


@dataclass(frozen=True, slots=True)
class Document:
    url: str
    kind: str
    """Media type, without its parameters."""
    encoding: str | None
    body: bytes
    cut: bool


async def fetch(url: str, permitted: Callable[[Address], bool], start: int = 0) -> str:
    document = await download(httpx2.URL(valid(url)), permitted)
    if document.kind in ("text/html", "application/xhtml+xml"):
        document = without_scripts(document)
        text = await to_thread.run_sync(markdown, document, abandon_on_cancel=True)
    elif document.kind.startswith("text/") or document.kind.endswith(("json", "xml", "javascript", "yaml")):
        text = await to_thread.run_sync(decoded, document, abandon_on_cancel=True)
    else:
        raise ToolError(
            f"{document.url} is {document.kind or 'of no stated type'}. fetch_url reads pages, text and JSON only."
        )
    if start and start >= len(text):
        raise ToolError(f"{document.url} has only {len(text):,} characters that are read. Ask for a smaller start.")
    shown, left = text[start : start + MAX_TEXT], len(text) - start - MAX_TEXT
    notes = [f"{left:,} more characters: go on with start={start + MAX_TEXT}"] if left > 0 else []
    notes += [f"the document is too large, and what comes after its first {len(document.body):,} bytes is not read"] * (
        document.cut
    )
    return f"{shown}\n[cut: {'; '.join(notes)}]" if notes else shown


def without_scripts(document: Document) -> Document:
    """A page without what no reader sees, which is most of many a large one, as long as the extractor can take."""
    body, parts, at = document.body, list[bytes](), 0
    lowered = body.lower()
    for opening in re.finditer(rb"<(script|style)\b", lowered):
        if opening.start() >= at:
            parts.append(body[at : opening.start()])
            end = lowered.find(b"</" + opening[1], opening.end())
            at = len(body) if end < 0 else end
    whole = b"".join([*parts, body[at:]])
    # The extractor takes time that grows with the square of the markup.
    return replace(document, body=whole[:MAX_MARKUP], cut=document.cut or len(whole) > MAX_MARKUP)


def valid(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise ToolError(f"{url!r} is not a web address: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ToolError(f"{url!r} is not a web address. It must begin with http:// or https://.")
    if parsed.userinfo:
        raise ToolError("The address holds a user name or password. Leave it out; fetch_url signs in nowhere.")
    return url


async def download(url: httpx2.URL, permitted: Callable[[Address], bool]) -> Document:
    try:
        with anyio.fail_after(SECONDS):
            async with client(permitted) as web:
                return await follow(web, web.build_request("GET", url))
    except (TimeoutError, httpx2.TimeoutException):
        raise ToolError(f"{url} did not answer in time.", transient=True) from None
    except (httpx2.DecodingError, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise ToolError(f"{url} cannot be read: {error}.") from None
    except httpx2.TransportError as error:
        raise ToolError(f"{url} cannot be reached: {error or type(error).__name__}.", transient=True) from None


def client(permitted: Callable[[Address], bool]) -> httpx2.AsyncClient:
    # No connection is kept: two names at one address must not share one, since each has its own certificate.
    alone = httpx2.Limits(max_keepalive_connections=0)
    direct = httpx2.AsyncHTTPTransport(verify=authorities(), trust_env=False, limits=alone)
    return httpx2.AsyncClient(
        transport=CheckedTransport(direct, permitted), trust_env=False, timeout=20, headers=HEADERS
    )


@cache
def authorities() -> ssl.SSLContext:
    """The certificate authorities to trust, read once. SSL_CERT_FILE can name those of a company."""
    return httpx2.create_ssl_context()


async def follow(web: httpx2.AsyncClient, request: httpx2.Request) -> Document:
    # By hand, because the client reads the bodies of redirects, and reads them whole.
    for _ in range(MAX_REDIRECTS + 1):
        response = await web.send(request, stream=True, follow_redirects=False)
        try:
            if response.next_request is None:
                return await received(response)
            request = response.next_request
            valid(str(request.url))
        finally:
            await response.aclose()
    raise ToolError(f"{request.url} redirects more than {MAX_REDIRECTS} times.")


async def received(response: httpx2.Response) -> Document:
    code = response.status_code
    if code >= 300:
        raise ToolError(f"{response.url} answers with HTTP status {code}.", transient=code in TRANSIENT)
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_BYTES:
            break
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    cut = len(body) > MAX_BYTES
    return Document(str(response.url), kind, response.charset_encoding, bytes(body[:MAX_BYTES]), cut)


def decoded(document: Document) -> str:
    """The document as text, in the encoding that its first bytes mark, its server names, or it seems to be."""
    found = encoding_in(BytesIO(document.body))
    if found is not None and (found.mark or not document.encoding):
        return document.body[len(found.mark) :].decode(found.codec, "replace")
    return document.body.decode(usable(document.encoding), "replace").removeprefix("\ufeff")


def usable(encoding: str | None) -> str:
    """The encoding that a server names, if it is one of the web; else UTF-8."""
    try:
        name = codecs.lookup(encoding or "utf-8").name
    except (LookupError, ValueError):
        return "utf-8"
    if name in ("ascii", "iso8859-1"):
        return "cp1252"  # as the web has it: https://encoding.spec.whatwg.org/#names-and-labels
    return name if ENCODINGS.fullmatch(name) else "utf-8"


def markdown(document: Document) -> str:
    import trafilatura  # slow to import, and few runs fetch pages

    source = (
        decoded(document) if document.encoding else document.body
    )  # without a header, the page's own <meta> is looked at
    try:
        text = trafilatura.extract(source, url=document.url, output_format="markdown", include_links=True)
        text = text or trafilatura.html2txt(source)
    except Exception as error:  # a stranger's page: whatever it brings about is the page's fault
        raise ToolError(f"{document.url} cannot be read as a page ({type(error).__name__}).") from None
    if not text and document.cut:
        raise ToolError(
            f"{document.url} is too large: the part of it that is read holds no text. Fetch a page that holds less, or"
            " its data as text or JSON."
        )
    if not text:
        raise ToolError(f"{document.url} holds no readable text. It may be filled in by a script.")
    return text


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Resolves a name once, checks every address, and connects to one of just these."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, permitted: Callable[[Address], bool]) -> None:
        self._inner = inner
        self._permitted = permitted

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.raw_host.decode("ascii")
        failure: httpx2.TransportError = httpx2.ConnectError(f"{host} has no address")
        for address in await self._addresses(host):
            aimed = httpx2.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # they hold the name, as Host
                stream=request.stream,
                extensions={
                    **request.extensions,
                    "sni_hostname": host,
                },  # and the certificate must be the name's
            )
            try:
                return await self._inner.handle_async_request(aimed)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _addresses(self, host: str) -> list[str]:
        try:
            found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise ToolError(f"The name {host} is not known.", transient=True) from None
        addresses = list(dict.fromkeys(entry[4][0] for entry in found))
        for address in addresses:
            if not self._permitted(ip_address(address)):
                raise ToolError(
                    f"{host} is at {address}, which is not a public address. "
                    "A person can set FORETHOUGHT_ALLOW_PRIVATE_ADDRESSES to allow it."
                )
        return addresses[:4]


def anywhere(_: Address) -> bool:
    return True


def is_public(address: Address) -> bool:
    """Whether this is a host on the public internet. An IPv6 address that stands for an IPv4 one is judged by that."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.sixtofour is not None:
        return is_public(address.sixtofour)
    return address in GLOBAL_UNICAST and address.is_global and address.teredo is None


async def ask_searxng(server: str, query: str, count: int) -> JSON:
    try:
        where = httpx2.URL(server.rstrip("/") + "/search", params={"q": query, "format": "json"})
    except httpx2.InvalidURL:
        raise ToolError("FORETHOUGHT_SEARXNG_URL is not a web address.") from None
    try:
        document = await download(where, anywhere)
        found = cast("dict[str, list[dict[str, object]]]", json.loads(document.body))["results"]
        return [result(each, url="url", snippet="content") for each in found[:count]]
    except ToolError as error:
        problem = str(error).replace(f"{where.userinfo.decode()}@", "")  # it may hold a password
        raise ToolError(
            f"{problem} Check FORETHOUGHT_SEARXNG_URL; its server must allow the format json.",
            transient=error.transient,
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ToolError(
            f"{where.host} does not answer like a SearXNG server. Check FORETHOUGHT_SEARXNG_URL; "
            "its server must allow the format json."
        ) from None


async def ask_ddgs(query: str, count: int) -> JSON:
    try:
        with anyio.fail_after(SECONDS):
            return await to_thread.run_sync(metasearch, query, count, abandon_on_cancel=True)
    except TimeoutError:
        raise ToolError(f"The web search did not answer in time. {NO_SEARCH}", transient=True) from None


def metasearch(query: str, count: int) -> JSON:
    # Here, because it is slow to import, and few runs search the web.
    from ddgs import DDGS  # pyright: ignore[reportUnknownVariableType]  # its own proxy hides the type
    from ddgs.exceptions import DDGSException

    try:
        found = DDGS(timeout=10).text(query, max_results=count)
    except Exception as error:  # what search engines answer is read by ddgs, which does not foresee everything
        if isinstance(error, DDGSException) and str(error) == "No results found.":
            return []
        raise ToolError(f"The web search failed. {NO_SEARCH}", transient=True) from None
    return [result(each, url="href", snippet="body") for each in found[:count]]


def result(found: dict[str, object], *, url: str, snippet: str) -> JSON:
    return {
        "title": text_of(found.get("title")),
        "url": text_of(found.get(url)),
        "snippet": text_of(found.get(snippet))[:1000],
    }


def text_of(value: object) -> str:
    """A value of a search engine as text that can be written down: JSON can spell halves of characters."""
    return str(value or "").encode("utf-8", "replace").decode()
