"""A call of another server's tool, in either era of the protocol, with what the server asks and tells meanwhile."""

__all__ = ["Call"]

import json
import logging
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import anyio
from anyio.abc import TaskGroup

from forethought_tools import JSON, BudgetError, ModelError, ToolError
from forethought_tools.calling import Asked, Caller, Said, Sampled
from forethought_tools.text import clipped
from forethought_tools.visible import visible_json

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from mcp.client import Client
    from mcp.types import (
        CallToolResult,
        CreateMessageRequestParams,
        CreateMessageResult,
        ElicitRequestParams,
        ElicitResult,
        InputRequiredResult,
    )

_ROUNDS = 10  # of questions in one call
_QUESTIONS = 20  # to a person, in one call
_SAMPLES = 20  # questions to models in one call
_CONVERSATION = 40_000  # characters of one of them
_HOUR = 3600.0  # seconds that a person is waited for, and that a call lasts which tells of progress
_MESSAGE = 2000  # characters of a question
_FIELDS = 20
_FORM = 20_000  # characters of all of them
_CHOICES = 100
_PLAIN: Mapping[str, tuple[type, ...]] = {
    "type": (str,),
    "title": (str,),
    "description": (str,),
    "minimum": (int, float),
    "maximum": (int, float),
    "minLength": (int,),
    "maxLength": (int,),
    "default": (str, int, float, list),
}
_FORMATS = ("email", "uri", "date", "date-time")


class Call:
    """A call that is under way."""

    def __init__(self, server: str, tool: str, caller: Caller | None, *, sampling: bool) -> None:
        """`sampling`: whether a model may answer what the server asks."""
        self._server = server
        self._tool = tool
        self._caller = caller
        self._sampling = sampling
        self._samples = 0
        self._questions = 0
        self._failed: Exception | None = None
        self._clock = anyio.CancelScope()
        self._tasks: TaskGroup
        self._left = 0.0
        self._longest = 0.0

    def known_to(self, other: "Call") -> str:
        """What it is, for a question that could be of several calls."""
        return f"{self._tool} by {self._caller.known_to(other._caller)}" if self._caller else self._tool

    async def make(
        self, client: "Client", arguments: Mapping[str, JSON], seconds: float, longest: float = _HOUR
    ) -> "CallToolResult":
        """Make it. What takes longer is cut off, but a person may take their time, and what tells of progress too, up
        to the `longest`.

        Raises:
            TimeoutError: no result came.
            MCPError: the server says no, or is gone.
        """
        self._left, self._longest = seconds, anyio.current_time() + longest
        result: CallToolResult | None = None
        with anyio.CancelScope(deadline=anyio.current_time() + seconds) as self._clock:
            async with anyio.create_task_group() as self._tasks:
                try:
                    result = await self._answered(client, arguments)
                except Exception as error:
                    self._failed = error
                self._tasks.cancel_scope.cancel()  # what the server has asked, and does not wait for any more
        if self._failed is not None:
            raise self._failed
        if result is None:
            raise TimeoutError
        return result

    async def asked(self, params: "ElicitRequestParams", beside: Sequence["Call"] = ()) -> "ElicitResult | None":
        """What a person says to what the server asks in the middle of this call, or of one `beside` it. None: the call
        has ended first."""
        from mcp.types import ElicitResult

        said: Said | None = None
        self._questions += 1
        if self._questions > _QUESTIONS:
            self._give_up(
                ToolError(f"The server {self._server} asks over {_QUESTIONS} times in one call, which is refused.")
            )
            return None

        async def ask() -> None:
            nonlocal said
            try:
                said = await self._put(params, beside)
            except Exception:  # a question's trouble is the question's: nobody has agreed to anything
                logger.exception("what the server %s asks could not be put to a person", self._server)
                said = Said()

        await self._meanwhile(ask)
        if said is None:
            return None
        content = cast("dict[str, Any]", dict(said.content)) if said.action == "accept" and said.content else None
        return ElicitResult(action=said.action, content=content)

    async def sampled(self, params: "CreateMessageRequestParams") -> "CreateMessageResult":
        """What a model of the run says to what the server asks in the middle of this call.

        Raises:
            ToolError: none may or can.
        """
        from mcp.types import CreateMessageResult, TextContent

        said, refused = "", "the call has ended"

        async def ask() -> None:
            nonlocal said, refused
            try:
                said, refused = await self._thought(params), ""
            except (ToolError, ModelError) as error:
                refused = str(error)
            except BudgetError as error:
                self._give_up(error)

        await self._meanwhile(ask)
        if refused:
            raise ToolError(refused)
        content = TextContent(type="text", text=said)
        return CreateMessageResult(role="assistant", content=content, model="forethought", stop_reason="endTurn")

    async def _meanwhile(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask in a task of this call, which ends with it."""
        done = anyio.Event()

        async def asked() -> None:
            try:
                await ask()
            finally:
                done.set()

        self._tasks.start_soon(asked)
        await done.wait()

    def _give_up(self, error: Exception) -> None:
        """The call has failed by what its server asks."""
        self._failed = self._failed or error
        self._tasks.cancel_scope.cancel()

    async def _put(self, params: "ElicitRequestParams", beside: Sequence["Call"]) -> Said:
        if self._caller is None:
            return Said()
        question = replace(self._question(params), beside=tuple(call.known_to(self) for call in beside))
        with self._clock_stopped(), anyio.move_on_after(_HOUR):
            return await self._caller.person(question)
        return Said()

    async def _thought(self, params: "CreateMessageRequestParams") -> str:
        self._samples += 1
        wants = f"The server {self._server} wants a model to answer it"
        if not self._sampling:
            raise ToolError(f"{wants}, which is refused. FORETHOUGHT_SAMPLING=allow lets the models of a run answer.")
        if self._caller is None:
            raise ToolError(f"{wants}, and nobody has asked for this call.")
        if self._samples > _SAMPLES:
            raise ToolError(f"{wants} over {_SAMPLES} times in one call, which is refused.")
        sampled = self._as_sampled(params, wants)
        with self._clock_stopped(), anyio.move_on_after(_HOUR):
            return await self._caller.model(sampled)
        raise ToolError(f"{wants}, and none has answered within an hour.")

    def _as_sampled(self, params: "CreateMessageRequestParams", wants: str) -> Sampled:
        parts = [(message.role, part) for message in params.messages for part in message.content_as_list]
        if params.tools or any(part.type != "text" for _, part in parts):
            raise ToolError(f"{wants} with more than text, which it cannot.")
        conversation = "\n\n".join(f"{role}: {part.text}" for role, part in parts if part.type == "text")
        instructions = params.system_prompt or ""
        if len(conversation) + len(instructions) > _CONVERSATION:
            raise ToolError(f"{wants} and tells over {_CONVERSATION:,} characters for it, which is refused.")
        return Sampled(self._server, self._tool, instructions, conversation, max(1, params.max_tokens))

    @contextmanager
    def _clock_stopped(self) -> Generator[None]:
        """While somebody else is waited for, the call's time stands still."""
        begun = anyio.current_time()
        left, self._clock.deadline = self._clock.deadline - begun, float("inf")
        try:
            yield
        finally:
            self._longest += anyio.current_time() - begun
            self._clock.deadline = anyio.current_time() + max(left, 1.0)

    def _question(self, params: "ElicitRequestParams") -> Asked:
        told: Mapping[str, Any] = params.model_dump(mode="json", by_alias=True)
        message = clipped(str(told.get("message", "")), _MESSAGE)
        if url := told.get("url"):
            return Asked(self._server, self._tool, message, url=str(url))
        schema = cast("Mapping[str, Any]", told.get("requestedSchema") or {})
        properties = cast("Mapping[str, Mapping[str, JSON]]", schema.get("properties") or {})
        if len(properties) > _FIELDS:
            raise ToolError(
                f"The server {self._server} asks for {len(properties)} values at once, more than a form takes."
            )
        fields = {name: _field(part) for name, part in properties.items()}
        if len(json.dumps(fields)) > _FORM or any(map(_hides, fields.values())):
            raise ToolError(f"The server {self._server} asks for more than a form shows, or for what cannot be seen.")
        required = tuple(name for name in schema.get("required") or () if isinstance(name, str))
        return Asked(self._server, self._tool, message, fields, required)

    async def _answered(self, client: "Client", arguments: Mapping[str, JSON]) -> "CallToolResult":
        from mcp.types import CallToolResult

        result = await self._request(client, arguments, None, None)
        for _ in range(_ROUNDS):
            if isinstance(result, CallToolResult):
                return result
            responses: dict[str, Any] = {}
            async with anyio.create_task_group() as together:
                for key, request in (result.input_requests or {}).items():
                    together.start_soon(self._respond, key, request, responses)
            result = await self._request(client, arguments, responses, result.request_state)
        raise ToolError(f"The server {self._server} asks again and again.")

    async def _respond(self, key: str, request: Any, responses: dict[str, Any]) -> None:
        """In the newer era a call returns what is asked, and is made again with what was said."""
        from mcp.types import ElicitResult, ListRootsResult

        if request.method == "elicitation/create":
            responses[key] = await self.asked(request.params) or ElicitResult(action="cancel")
        elif request.method == "roots/list":
            responses[key] = ListRootsResult(roots=[])
        else:
            try:
                responses[key] = await self.sampled(request.params)
            except ToolError as error:  # told as it is, and not as one of a group
                self._give_up(error)

    async def _request(
        self, client: "Client", arguments: Mapping[str, JSON], responses: dict[str, Any] | None, state: str | None
    ) -> "CallToolResult | InputRequiredResult":
        """Not by the SDK's own verb: that holds results against schemas of the server, in this process."""
        from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult, InputRequiredResult
        from pydantic import TypeAdapter

        adapter: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(CallToolResult | InputRequiredResult)
        params = CallToolRequestParams(
            name=self._tool, arguments=dict(arguments), input_responses=responses, request_state=state
        )
        return await client.session.send_request(CallToolRequest(params=params), adapter, progress_callback=self._told)

    async def _told(self, progress: float, total: float | None, message: str | None) -> None:
        if self._clock.deadline != float("inf"):
            self._clock.deadline = min(anyio.current_time() + self._left, self._longest)
        if self._caller is not None:
            so_far = f"{progress:g} of {total:g}" if total else f"{progress:g}"
            self._caller.tell(f"{self._server} is at {so_far}{f': {clipped(message, 200)}' if message else ''}")


def _field(part: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """One value that is asked for: plain, one of several, or some of several. Nothing in it can take long to check, or
    is anything else than it should be."""
    field = {key: part[key] for key, kinds in _PLAIN.items() if isinstance(part.get(key), kinds)}
    if part.get("format") in _FORMATS:
        field["format"] = part["format"]
    if choices := _choices(part):
        field["enum"] = choices
    items = part.get("items")
    if isinstance(items, Mapping):
        field["items"] = {"type": "string", **({"enum": some} if (some := _choices(items)) else {})}
    return field


def _hides(field: Mapping[str, JSON]) -> bool:
    """Whether something in what goes back as it is cannot be seen, or is more than anybody looks through."""
    items = field.get("items")
    chosen = [field.get("enum"), items.get("enum") if isinstance(items, Mapping) else None]
    as_it_is: JSON = [*chosen, field.get("default")]
    many = any(isinstance(each, list) and len(each) > _CHOICES for each in chosen)
    return many or visible_json(as_it_is) != json.dumps(as_it_is, ensure_ascii=False)


def _choices(part: Mapping[str, JSON]) -> list[JSON]:
    named, titled = part.get("enum"), part.get("oneOf", part.get("anyOf"))
    options = titled if isinstance(titled, list) else []
    given = [option["const"] for option in options if isinstance(option, Mapping) and "const" in option]
    return [choice for choice in (named if isinstance(named, list) else given) if isinstance(choice, str)]
