"""Whatever a web server replies is a result or a failure of that call, and no internal error."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import pytest

from forethought_tools import JSON, Question, Registry, ToolError
from forethought_tools.web import usable, web_tools

pytestmark = pytest.mark.anyio

# Known to Python, and unusable, slow, or the source of text that cannot be written down.
ODD = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf-7", "hex", "rot13", "zlib", "mbcs")
REPLIES = [
    *(
        f"Content-Type: {kind}; charset={name}"
        for kind in ("text/plain", "text/html")
        for name in (*ODD, '"', "x" * 5000)
    ),
    "Content-Type: text/html; charset*=utf-8''%ff",
    "Content-Type: \xff\xfe",
    "Content-Type: text/plain\r\nContent-Encoding: gzip, deflate",
    *(
        f"Location: {where}"
        for where in ("http://[::1", "http://x:99999/", "//", "http://a..b/", "http://xn--/", "ftp://x")
    ),
]
BODIES = (
    b"plain \xff \\ud800 +2AA- .. \\N{x}",
    b"<meta charset=idna><p>" + b"word " * 50,
    b"<?xml version='1.0' encoding='undefined'?><html><base href='http://[::1'><p>" + b"word " * 50,
    b"<div>" * 5000,
)


@pytest.fixture
def echo() -> Iterator[str]:
    """A server that replies with the header and the body whose numbers a path names."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            header, _, body = self.path.strip("/").partition("/")
            if not body:
                self.send_error(404)
                return
            reply = REPLIES[int(header)]
            head = f"HTTP/1.1 {302 if reply.startswith('Location') else 200} OK\r\n{reply}\r\nConnection: close\r\n\r\n"
            self.wfile.write(head.encode("latin-1") + BODIES[int(body)])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def test_no_reply_of_a_server_is_an_internal_error(echo: str) -> None:
    tools = Registry(web_tools(allow_private=True))
    texts = 0
    for header in range(len(REPLIES)):
        for body in range(len(BODIES)):
            try:
                with anyio.fail_after(120):
                    got = await tools.call("fetch_url", {"url": f"{echo}/{header}/{body}"}, nobody)
            except ToolError:
                continue
            assert str(got).encode(), "it can be written down"
            texts += 1
    assert texts > len(ODD)


@pytest.mark.parametrize(
    "name", ["latin-1", "windows-1252", "Shift_JIS", "EUC-KR", "GB18030", "koi8-r", "UTF-16LE", "ascii"]
)
def test_the_encodings_of_the_web_are_used(name: str) -> None:
    assert "word".encode(usable(name)).decode(name) == "word"
    assert usable(name) != "utf-8"


@pytest.mark.parametrize("name", [*ODD, "no\0name", "", None])
def test_other_encodings_are_not(name: str | None) -> None:
    assert usable(name) == "utf-8"
