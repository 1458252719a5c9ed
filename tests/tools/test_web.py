"""The web is reached at public addresses only, at the very address that was checked."""

import datetime
import gzip
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from forethought_tools import JSON, Question, Registry, ToolError
from forethought_tools.web import (
    MAX_TEXT,
    Address,
    CheckedTransport,
    anywhere,
    fetch,
    is_public,
    web_tools,
)

pytestmark = pytest.mark.anyio
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """An HTTP server on loopback. `pages` maps a path to status, headers and body."""

    pages: dict[str, Answer] = field(default_factory=dict[str, Answer])
    seen: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Path and Host header of each request."""
    port: int = 0

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def serving(host: str, context: ssl.SSLContext | None = None) -> Generator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.seen.append((self.path, self.headers["Host"]))
            status, headers, body = site.pages.get(urlsplit(self.path).path, (404, {}, b""))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:  # the client has read enough
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            """Say nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving("127.0.0.1") as running:
        yield running


def page(body: str | bytes, kind: str = "text/html", **headers: str) -> Answer:
    data = body.encode() if isinstance(body, str) else body
    return 200, {"Content-Type": kind, **headers}, data


def moved(to: str) -> Answer:
    return 302, {"Location": to}, b""


def only(address: str) -> Callable[[Address], bool]:
    return lambda candidate: candidate == ip_address(address)


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def call(name: str, arguments: dict[str, JSON], **settings: Any) -> Any:
    with anyio.fail_after(60):
        return await Registry(web_tools(**settings)).call(name, arguments, nobody)


async def refusal(url: str, permitted: Callable[[Address], bool] = anywhere) -> ToolError:
    with anyio.fail_after(60), pytest.raises(ToolError) as raised:
        await fetch(url, permitted)
    return raised.value


async def test_a_page_becomes_markdown(site: Site) -> None:
    text = "This paragraph is long enough to be taken for the main text of the page. " * 3
    site.pages["/"] = page(
        f"<html><body><article><h1>Title</h1><p>{text}</p><p><b>Bold</b></p></article></body></html>"
    )
    got = await call("fetch_url", {"url": site.url("/")}, allow_private=True)
    assert "# Title" in got
    assert "main text of the page" in got
    assert "<p>" not in got


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain; charset=latin-1", b"caf\xe9", "café"),
        ("text/plain; charset=nonsense", "café".encode(), "café"),
        ("text/csv", "ort\nMüller, Köln\n".encode("cp1252"), "ort\nMüller, Köln\n"),
        ("text/csv; charset=utf-8", "Köln".encode("utf-16"), "Köln"),
        ("text/csv; charset=us-ascii", "Köln".encode("cp1252"), "Köln"),
        ("text/csv", "Köln".encode("utf-8-sig"), "Köln"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/feed+json", b"[]", "[]"),
        ("application/atom+xml", b"<feed/>", "<feed/>"),
    ],
)
async def test_text_and_json_come_as_they_are(site: Site, kind: str, body: bytes, text: str) -> None:
    site.pages["/"] = page(body, kind)
    assert await fetch(site.url("/"), anywhere) == text


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", ""])
async def test_other_types_are_refused(site: Site, kind: str) -> None:
    site.pages["/"] = page(b"\x89PNG", kind)
    assert "pages, text and JSON only" in str(await refusal(site.url("/")))


async def test_a_page_without_text_is_told(site: Site) -> None:
    site.pages["/"] = page("<html><body><script>draw()</script></body></html>")
    assert "no readable text" in str(await refusal(site.url("/")))


async def test_large_documents_are_cut_also_when_they_unpack_to_more(site: Site) -> None:
    site.pages["/long"] = page("x" * 6_000_000, "text/plain")
    site.pages["/packed"] = page(gzip.compress(b"x" * 30_000_000), "text/plain", **{"Content-Encoding": "gzip"})
    for path in ("/long", "/packed"):
        assert await fetch(site.url(path), anywhere) == "x" * MAX_TEXT + (
            "\n[cut: 4,900,000 more characters: go on with start=100000; the document is too large, and what comes"
            " after its first 5,000,000 bytes is not read]"
        )


async def test_the_rest_of_a_long_text_can_be_fetched(site: Site) -> None:
    site.pages["/"] = page("a" * MAX_TEXT + "b" * 5, "text/plain")
    assert (await fetch(site.url("/"), anywhere)).endswith("[cut: 5 more characters: go on with start=100000]")
    assert await call("fetch_url", {"url": site.url("/"), "start": MAX_TEXT}, allow_private=True) == "bbbbb"
    with pytest.raises(ToolError, match="has only 100,005 characters"):
        await fetch(site.url("/"), anywhere, 200_000)


async def test_a_large_page_is_read_without_its_scripts_or_said_to_be_too_large(site: Site) -> None:
    text = "<p>" + "The main text of the page is here. " * 20 + "</p>"
    script = "<script>" + "x" * 4_000_000 + "</script>"
    site.pages["/script"] = page(f"<html><head>{script}</head><body><article>{text}</article></body></html>")
    assert "main text of the page" in await fetch(site.url("/script"), anywhere)
    site.pages["/large"] = page(f"<html><body><!-- {'x' * 15_000_000} --><article>{text}</article></body></html>")
    assert "is too large: the part of it that is read holds no text" in str(await refusal(site.url("/large")))
    site.pages["/open"] = page("<html><body>" + "<script>" * 200_000)
    assert "no readable text" in str(await refusal(site.url("/open")))


@pytest.mark.parametrize(("status", "transient"), [(404, False), (403, False), (429, True), (503, True)])
async def test_a_refusing_server_is_told(site: Site, status: int, transient: bool) -> None:
    site.pages["/"] = (status, {}, b"no")
    error = await refusal(site.url("/"))
    assert str(status) in str(error)
    assert error.transient == transient


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/", "gopher://x", "x", "//x/", "http://", "http://a:b:c/"]
)
async def test_only_web_addresses_are_fetched(url: str) -> None:
    assert "web address" in str(await refusal(url))


async def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    assert "hush" not in str(await refusal("http://me:hush@127.0.0.1/"))


async def test_redirects_are_followed_a_bounded_number_of_times(site: Site) -> None:
    for number in range(5):
        site.pages[f"/{number}"] = moved(f"/{number + 1}")
    site.pages["/5"] = page("here", "text/plain")
    assert await fetch(site.url("/0"), anywhere) == "here"
    site.pages["/5"] = moved("/0")
    assert "redirects" in str(await refusal(site.url("/0")))


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://me:hush@127.0.0.1/"])
async def test_a_redirect_to_anything_but_the_web_is_refused(site: Site, target: str) -> None:
    site.pages["/"] = moved(target)
    assert "hush" not in str(await refusal(site.url("/")))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "0", "[::ffff:7f00:1]"])
async def test_private_hosts_are_refused_however_they_are_written(site: Site, host: str) -> None:
    site.pages["/"] = page("secret", "text/plain")
    error = await refusal(site.url("/", host), is_public)
    assert "not a public address" in str(error) or "not known" in str(error)
    assert not site.seen


async def test_the_tool_refuses_private_addresses_unless_allowed(site: Site) -> None:
    site.pages["/"] = page("mine", "text/plain")
    with pytest.raises(ToolError, match="FORETHOUGHT_ALLOW_PRIVATE_ADDRESSES"):
        await call("fetch_url", {"url": site.url("/")})
    assert await call("fetch_url", {"url": site.url("/")}, allow_private=True) == "mine"


async def test_a_redirect_to_a_private_address_is_refused(site: Site) -> None:
    with serving("127.0.0.2") as private:
        private.pages["/"] = page("secret", "text/plain")
        site.pages["/"] = moved(private.url("/", "127.0.0.2"))
        assert "127.0.0.2" in str(await refusal(site.url("/"), only("127.0.0.1")))
        assert not private.seen


async def test_the_name_is_kept_while_the_checked_address_is_used(site: Site) -> None:
    site.pages["/"] = page("hello", "text/plain")
    checked: list[Address] = []

    def permitted(address: Address) -> bool:
        checked.append(address)
        return True

    assert await fetch(site.url("/", "localhost"), permitted) == "hello"
    assert site.seen == [("/", f"localhost:{site.port}")]
    assert ip_address("127.0.0.1") in checked
    assert len(checked) == len(set(checked))  # resolved once: there is no second look-up to be tricked


async def test_proxies_of_the_environment_are_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    site.pages["/"] = page("direct", "text/plain")
    assert await fetch(site.url("/"), anywhere) == "direct"


def certified(folder: Path, name: str) -> Path:
    """A certificate for one name, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{name}.pem"
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize(("name", "accepted"), [("localhost", True), ("example.org", False)])
async def test_the_certificate_must_be_for_the_name_not_the_address(tmp_path: Path, name: str, accepted: bool) -> None:
    file = certified(tmp_path, name)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    asked: list[str | None] = []
    server.sni_callback = lambda _socket, server_name, _context: asked.append(server_name)
    trusting = ssl.create_default_context(cafile=str(file))
    with ExitStack() as stack:
        site = stack.enter_context(serving("127.0.0.1", server))
        site.pages["/"] = page("hello", "text/plain")
        transport = CheckedTransport(httpx2.AsyncHTTPTransport(verify=trusting), only("127.0.0.1"))
        async with httpx2.AsyncClient(transport=transport, trust_env=False) as client:
            address = site.url("/", "localhost").replace("http:", "https:")
            if accepted:
                assert (await client.get(address)).text == "hello"
            else:
                with pytest.raises(httpx2.ConnectError):
                    await client.get(address)
    assert asked == ["localhost"]


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - refused, not bound
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.168.1.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2001:0:7f00:1::",
        "2001:db8::1",
        "fc00::1",
        "fd00::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "100::1",
    ],
)
def test_addresses_that_are_not_of_the_public_internet(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"],
)
def test_addresses_of_the_public_internet(address: str) -> None:
    assert is_public(ip_address(address))
    assert isinstance(ip_address(address), ipaddress.IPv4Address | ipaddress.IPv6Address)


async def test_searxng_is_asked_when_it_is_configured(site: Site) -> None:
    found = [{"title": f"T{n}", "url": f"https://e/{n}", "content": "s" * 2000, "engine": "x"} for n in range(9)]
    site.pages["/base/search"] = page(json.dumps({"results": found}), "application/json")
    got = await call("web_search", {"query": "a & b", "max_results": 2}, searxng_url=site.url("/base/"))
    assert got == [
        {"title": "T0", "url": "https://e/0", "snippet": "s" * 1000},
        {"title": "T1", "url": "https://e/1", "snippet": "s" * 1000},
    ]
    assert parse_qs(urlsplit(site.seen[0][0]).query) == {"q": ["a & b"], "format": ["json"]}


@pytest.mark.parametrize(
    "answer", [(403, {}, b""), page("<html>"), page('{"a": 1}'), page("[1]"), page('{"results": [1]}')]
)
async def test_a_searxng_that_gives_no_json_is_told_with_its_setting(site: Site, answer: Answer) -> None:
    site.pages["/search"] = answer
    with pytest.raises(ToolError, match="FORETHOUGHT_SEARXNG_URL"):
        await call("web_search", {"query": "x"}, searxng_url=site.url(""))


async def test_without_a_network_the_search_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("DDGS_PROXY", f"http://127.0.0.1:{port}")  # so that nothing leaves this machine
    with pytest.raises(ToolError, match="FORETHOUGHT_SEARXNG_URL") as raised:
        await call("web_search", {"query": "x"})
    assert raised.value.transient


async def test_a_server_that_is_not_there_is_worth_another_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert (await refusal(f"http://127.0.0.1:{port}/")).transient
