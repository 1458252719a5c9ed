"""The line to an endpoint: one request and its reply, whether that comes whole, as events or from elsewhere."""

__all__ = ["Connection"]

import json
from collections.abc import AsyncIterator, Mapping
from typing import cast
from urllib.parse import urljoin, urlsplit

import httpx2
import openai
from openai.types.chat import ChatCompletionMessageParam

from forethought.models.endpoint import Endpoint, refusal_of
from forethought.models.replies import Pieces, Reply, ReplyError, events, reply_of, shown
from forethought.models.ways import Body, Refusal, named
from forethought.options import ModelOptions
from forethought_patterns.ports import Heard
from forethought_tools import JSON, ModelError

_LARGEST = 8_000_000  # bytes of one reply
_MOVES = 2
_ASKED = "/chat/completions"


class Connection:
    """The client of one endpoint, made on first use, in the running loop."""

    def __init__(
        self, endpoint: Endpoint, *, api_key: str, options: ModelOptions, timeout: float, retries: int
    ) -> None:
        self._endpoint = endpoint
        self._api_key = api_key
        self._options = options
        self._timeout = options.timeout or timeout
        self._retries = retries
        self._client: openai.AsyncOpenAI | None = None
        self._url = endpoint.address.url
        self._moves = 0

    async def aclose(self) -> None:
        """Close the connections. Another question opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def send(self, body: Body, heard: Heard | None = None) -> Reply:
        """The reply to a request, which is made once more if it breaks off.

        Raises:
            openai.OpenAIError, httpx2.HTTPError, ReplyError: there is none.
        """
        broke_off = False
        while True:
            try:
                return await self._exchange(body, heard)
            except openai.APIStatusError as error:
                if not self._moved(error):
                    raise
            except httpx2.TimeoutException:
                raise
            except (httpx2.HTTPError, ReplyError) as error:
                refusal = refusal_of(error)
                if broke_off or (refusal is not None and (refusal.status in (401, 402, 403) or named(body, refusal))):
                    raise
                broke_off = True
                body = {name: value for name, value in body.items() if not name.startswith("stream")}
                if heard is not None:
                    heard(None)  # what was said does not count: it is asked once more, and not in pieces
                    heard = None

    async def _exchange(self, body: Body, heard: Heard | None) -> Reply:
        self._client = client = self._client or self._open()
        rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
        create = client.chat.completions.with_streaming_response.create
        messages = cast("list[ChatCompletionMessageParam]", body["messages"])
        async with create(model=str(body["model"]), messages=messages, extra_body=rest) as response:
            return await _read(_lines(response.iter_bytes()), heard)

    def _moved(self, error: openai.APIStatusError) -> bool:
        """Whether the endpoint is elsewhere on the same host: then it is asked there from now on. Nobody else is shown
        the question, or a key."""
        here = urlsplit(str(error.request.url))
        path = here.path.removesuffix(_ASKED)
        to = urljoin(str(error.request.url), error.response.headers.get("location", ""))
        if error.status_code in (404, 405) and path in ("", "/"):
            to = f"{here.scheme}://{here.netloc}/v1{_ASKED}"
        there = urlsplit(to)
        if there[:3] == here[:3] or not there.path.endswith(_ASKED) or there.hostname != here.hostname:
            return False
        if there.scheme not in (here.scheme, "https") or self._moves >= _MOVES or self._client is None:
            return False
        self._moves += 1
        self._url = f"{there.scheme}://{there.netloc}{there.path.removesuffix(_ASKED)}"
        self._client.base_url = self._url
        return True

    def _open(self) -> openai.AsyncOpenAI:
        if not (self._api_key.isascii() and self._api_key.isprintable()):
            # The HTTP client would quote such a key in its error.
            raise ModelError("FORETHOUGHT_API_KEY holds characters that no key has. Set it again.")
        address = self._endpoint.address
        timeout = openai.Timeout(self._timeout, connect=min(10.0, self._timeout))
        return openai.AsyncOpenAI(
            api_key=self._api_key or "none",  # local endpoints want none, the client wants one
            base_url=self._url,
            timeout=timeout,
            max_retries=self._retries,
            default_query=address.query,
            default_headers={**address.headers, **self._options.headers},
            http_client=openai.DefaultAsyncHttpxClient(
                timeout=timeout,
                follow_redirects=False,  # headers with keys would go along
                trust_env=not address.is_here,  # a proxy of the environment cannot reach this machine's own loopback
                event_hooks={"response": [_spare_retries]},
            ),
        )


async def _spare_retries(response: httpx2.Response) -> None:
    """Have the client not ask again in the same words what was refused for a reason, whatever the status."""
    if response.status_code < 409:
        return
    text = (await response.aread()).decode(errors="replace")
    try:
        body = cast("Body", json.loads(response.request.content))
    except (ValueError, httpx2.RequestNotRead):
        return
    if response.status_code == 501 or named(body, Refusal(response.status_code, text)) or "insufficient_quota" in text:
        response.headers["x-should-retry"] = "false"


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    size, held = 0, b""
    async for chunk in chunks:
        size += len(chunk)
        if size > _LARGEST:
            raise ReplyError(f"its reply is larger than {_LARGEST // 1_000_000} MB")
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
    if held:
        yield held.decode(errors="replace")


async def _read(lines: AsyncIterator[str], heard: Heard | None) -> Reply:
    """The reply in whichever way it comes, whatever was asked for."""
    first = ""
    async for line in lines:
        first = line.lstrip("\ufeff")
        if first.strip():
            break
    if first.startswith(("data:", "event:", "id:", "retry:", ":")):
        return await _heard(events(_chained(first, lines)), heard)
    body = _body("\n".join([line async for line in _chained(first, lines)]))
    reply = reply_of(body)
    if heard is not None:
        heard(None)
        heard(reply.text)
    return reply


async def _chained(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for line in rest:
        yield line
    yield ""


def _body(text: str) -> JSON:
    if not text.strip():
        raise ReplyError("an empty reply", broken=True)
    try:
        return cast("JSON", json.loads(text))
    except (ValueError, RecursionError):
        raise ReplyError(f"no JSON but {shown(text)}") from None


async def _heard(told: AsyncIterator[JSON], heard: Heard | None) -> Reply:
    """An answer that is passed on piece by piece, as it comes."""
    pieces, done = Pieces(), False
    if heard is not None:
        heard(None)
    async for event in told:
        if event == "[DONE]":
            done = True
        elif isinstance(event, Mapping) and (piece := pieces.take(event)) and heard is not None:
            heard(piece)
    if not pieces.choices or not (pieces.ended or done):
        raise ReplyError("its answer broke off", broken=True)
    return pieces.reply()
