"""Each fault of an endpoint is told as what it is, with the setting that mends it, and as no other."""

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.endpoints.fake import STRICT, TEXT, Endpoint, Reply, asked, failure, model_at, refused, said

from forethought_tools import ModelError

pytestmark = pytest.mark.anyio


FAULTS: list[tuple[Reply, str]] = [
    (refused("bad key", 401), "does not accept the key"),
    (refused("API key not valid. Please pass a valid API key.", 400), "does not accept the key"),
    (refused("Insufficient Balance", 402), "wants to be paid"),
    (refused("You exceeded your quota", 429, code="insufficient_quota"), "wants to be paid"),
    (refused("not for you", 403), "does not allow this"),
    (refused("The model `m` does not exist", 404), "FORETHOUGHT_MODEL"),
    ((404, "<html><head><title>Not Found</title></head></html>"), "path of FORETHOUGHT_BASE_URL"),
    ((405, {"detail": "Method Not Allowed"}), "path of FORETHOUGHT_BASE_URL"),
    (refused("Request too large", 413), "Shorten the material"),
    (refused("This model's maximum context length is 4096 tokens", 400), "Shorten the material"),
    (refused("slow down", 429), "too many requests"),
    ((502, "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"), "502 Bad Gateway"),
    ((503, b""), "Try again later"),
    ((200, "<!DOCTYPE html><title>Sign in</title>"), "OpenAI-compatible"),
    ((200, b"Hello"), "OpenAI-compatible"),
    ((200, {"result": "Hello"}), "OpenAI-compatible"),
    ((200, {"choices": []}), "OpenAI-compatible"),
    ((200, {"choices": "none"}), "OpenAI-compatible"),
    ((200, []), "OpenAI-compatible"),
    ((200, {"error": {"message": "No auth credentials found", "code": 401}}), "does not accept the key"),
    ((200, {"error": {"message": "Rate limit", "code": "429"}}), "too many requests"),
    ((200, {"error": "gateway"}), "OpenAI-compatible"),
]


@pytest.mark.parametrize("schema", [TEXT, STRICT])
@pytest.mark.parametrize(("reply", "words"), FAULTS)
async def test_a_fault_is_told_with_what_mends_it(
    endpoint: Endpoint, reply: Reply, words: str, schema: dict[str, object]
) -> None:
    endpoint.reply = lambda _: reply
    error = await failure(endpoint, STRICT if schema is STRICT else TEXT, retries=0)
    assert words in str(error), error
    assert ("Shorten" in str(error)) == ("Shorten" in words)
    assert "<html" not in str(error).lower()
    assert len(endpoint.asked) <= 3


async def _unheard(base_url: str) -> ModelError:
    async with model_at(base_url, retries=0, timeout=20) as model:
        with pytest.raises(ModelError) as caught:
            await model.answer(asked(STRICT))
    return caught.value


async def test_a_port_that_nobody_listens_at() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert "cannot be reached" in str(await _unheard(f"http://127.0.0.1:{taken.getsockname()[1]}/v1"))


async def test_a_name_that_nobody_knows() -> None:
    assert "Correct the host in FORETHOUGHT_BASE_URL" in str(await _unheard("http://no-such-host.invalid/v1"))


async def test_tls_with_one_who_does_not_speak_it(endpoint: Endpoint) -> None:
    error = await _unheard(endpoint.base_url.replace("http:", "https:"))
    assert "Begin FORETHOUGHT_BASE_URL with http://" in str(error)


async def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert "through the proxy: " in str(await _unheard("http://192.0.2.1/v1"))


@pytest.fixture
def untrusted(tmp_path: Path) -> Iterator[int]:
    """A port with a certificate of nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    )
    file = tmp_path / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                try:
                    context.wrap_socket(connection, server_side=True)
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve)
        serving.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
    serving.join()


async def test_a_certificate_of_nobody(untrusted: int) -> None:
    assert "SSL_CERT_FILE" in str(await _unheard(f"https://127.0.0.1:{untrusted}/v1"))


async def test_a_body_that_ends_too_early_is_asked_for_once_more(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: (200, b'{"choices": [')
    endpoint.headers["Content-Length"] = "9999"
    endpoint.headers["Connection"] = "close"
    error = await failure(endpoint, TEXT, retries=0)
    assert error.transient
    assert "broke off its answer" in str(error)
    assert len(endpoint.asked) == 2


async def test_a_reply_without_end_is_cut_off(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: (200, b"x" * 9_000_000)
    assert "larger than 8 MB" in str(await failure(endpoint, TEXT, retries=0))


async def test_a_stream_that_is_refused_by_name_is_asked_for_whole(endpoint: Endpoint) -> None:
    endpoint.reply = lambda body: refused("streaming is off", 500) if "stream" in body else said('{"n": 1}')
    async with model_at(endpoint.base_url) as model:
        for _ in range(2):
            await model.answer(asked(STRICT), heard=list[str | None]().append)
    assert ["stream" in body for body in endpoint.asked] == [True, False, False]
