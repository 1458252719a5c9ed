"""What the tests of models share: an endpoint."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.models.endpoint import (
    KEY,
    Endpoint,
)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            there.asked.append(body)
            assert self.path == "/v1/chat/completions"
            assert self.headers["Authorization"] == f"Bearer {KEY}"
            status, said = there.reply(body)
            content = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            kind = "text/html" if isinstance(said, str) else "application/json"
            self.send_response(status)
            streams = kind == "text/html" and said.startswith("data:")
            self.send_header("Content-Type", "text/event-stream" if streams else kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        there = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield there
        there.released.set()
        server.shutdown()
        serving.join()
