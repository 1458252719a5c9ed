"""What the conformance suite asks for by name: tools and a prompt that ask the client something, in both eras."""

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import (
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingCapability,
    SamplingMessage,
    TextContent,
)
from mcp_types import MISSING_REQUIRED_CLIENT_CAPABILITY, MissingRequiredClientCapabilityErrorData
from tests.clients.conformance.contents import NEEDED

_CHOICES = ["option1", "option2", "option3"]
_TITLED = [{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}]
_DEFAULTS: dict[str, Any] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
_ENUMS: dict[str, Any] = {
    "untitledSingle": {"type": "string", "enum": _CHOICES},
    "titledSingle": {"type": "string", "oneOf": _TITLED},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _CHOICES}},
    "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
}


def add_questions(server: MCPServer[Any]) -> None:
    """Give a server what asks its client."""
    _add_requests(server)
    _add_rounds(server)
    _add_states(server)
    _add_capabilities(server)


def _add_requests(server: MCPServer[Any]) -> None:
    """Up to 2025-11-25: in the middle of the call."""

    @server.tool(description=NEEDED, structured_output=False)
    async def test_sampling(prompt: str, ctx: Context[Any]) -> str:
        asked = _sample(prompt).params
        result = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]  # the suite wants it
            asked.messages, max_tokens=asked.max_tokens, related_request_id=ctx.request_context.request_id
        )
        return f"LLM response: {result.content}"

    @server.tool(description=NEEDED, structured_output=False)
    async def test_elicitation(message: str, ctx: Context[Any]) -> str:
        return await _asked(ctx, message, {"response": {"type": "string"}})

    @server.tool(description=NEEDED, structured_output=False)
    async def test_elicitation_sep1034_defaults(ctx: Context[Any]) -> str:
        return await _asked(ctx, "Please review", _DEFAULTS)

    @server.tool(description=NEEDED, structured_output=False)
    async def test_elicitation_sep1330_enums(ctx: Context[Any]) -> str:
        return await _asked(ctx, "Please select", _ENUMS)


async def _asked(ctx: Context[Any], message: str, properties: Mapping[str, Any]) -> str:
    """On the stream of the call: one that belongs to none may not be open yet, and what is said there then is lost."""
    result = await ctx.session.elicit_form(
        message, {"type": "object", "properties": properties}, related_request_id=ctx.request_context.request_id
    )
    return f"Elicitation completed: action={result.action}, content={result.content}"


def _add_rounds(server: MCPServer[Any]) -> None:
    """From 2026-07-28 on: the call returns the question, and is made again with the answer."""

    @server.tool(description=NEEDED, structured_output=False)
    async def test_input_required_result_elicitation(ctx: Context[Any]) -> str | InputRequiredResult:
        return _name_or_question(ctx)

    @server.tool(description=NEEDED, structured_output=False)
    async def test_streaming_elicitation(ctx: Context[Any]) -> str | InputRequiredResult:
        return _name_or_question(ctx)

    @server.tool(description=NEEDED, structured_output=False)
    async def test_input_required_result_sampling(ctx: Context[Any]) -> str | InputRequiredResult:
        answer = _answers(ctx).get("capital_question")
        if isinstance(answer, CreateMessageResult):
            return f"Answered: {answer.content}"
        return _required(capital_question=_sample("What is the capital of France?"))

    @server.tool(description=NEEDED, structured_output=False)
    async def test_input_required_result_list_roots(ctx: Context[Any]) -> str | InputRequiredResult:
        answer = _answers(ctx).get("client_roots")
        if isinstance(answer, ListRootsResult):
            return f"Roots: {', '.join(str(root.uri) for root in answer.roots)}"
        return _required(client_roots=ListRootsRequest())

    @server.prompt(description=NEEDED)
    async def test_input_required_result_prompt(ctx: Context[Any]) -> str | InputRequiredResult:
        answer = _answers(ctx).get("user_context")
        if isinstance(answer, ElicitResult):
            return f"Use this context: {answer.content}"
        return _required(user_context=_form("What context should the prompt use?", "context"))


def _add_states(server: MCPServer[Any]) -> None:
    """Questions with a state, which comes back with the answers and is sealed on its way."""

    @server.tool(description=NEEDED, structured_output=False)
    async def test_input_required_result_request_state(ctx: Context[Any]) -> str | InputRequiredResult:
        return "state-ok" if ctx.request_state else _required("asked", confirm=_form("Please confirm", "ok", "boolean"))

    @server.tool(description=NEEDED, structured_output=False)
    async def test_input_required_result_tampered_state(ctx: Context[Any]) -> str | InputRequiredResult:
        return "state-ok" if ctx.request_state else _required("asked", confirm=_form("Please confirm", "ok", "boolean"))

    @server.tool(description=NEEDED, structured_output=False)
    async def test_input_required_result_multiple_inputs(ctx: Context[Any]) -> str | InputRequiredResult:
        if ctx.request_state and len(_answers(ctx)) >= 3:
            return "All three came."
        return _required(
            "asked",
            user_name=_form("What is your name?", "name"),
            greeting=_sample("Generate a greeting"),
            client_roots=ListRootsRequest(),
        )

    @server.tool(description=NEEDED, structured_output=False)
    async def test_input_required_result_multi_round(ctx: Context[Any]) -> str | InputRequiredResult:
        match ctx.request_state:
            case "first":
                return _required("second", step2=_form("Step 2: What is your favorite color?", "color"))
            case "second":
                return "Both came."
            case _:
                return _required("first", step1=_form("Step 1: What is your name?", "name"))


def _add_capabilities(server: MCPServer[Any]) -> None:
    """Questions that not every client can be asked."""

    @server.tool(description=NEEDED, structured_output=False)
    async def test_input_required_result_capabilities(ctx: Context[Any]) -> str | InputRequiredResult:
        able = ctx.client_capabilities or ClientCapabilities()
        asked: dict[str, InputRequest] = {}
        if able.sampling:
            asked["greeting"] = _sample("Generate a greeting")
        if able.elicitation:
            asked["user_name"] = _form("What is your name?", "name")
        return _required(**asked) if asked else "Nothing can be asked."

    @server.tool(description=NEEDED, structured_output=False)
    async def test_missing_capability(ctx: Context[Any]) -> str:
        if ctx.client_capabilities and ctx.client_capabilities.sampling:
            return "The client can be asked for a sample."
        needed = MissingRequiredClientCapabilityErrorData(
            required_capabilities=ClientCapabilities(sampling=SamplingCapability())
        )
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "This needs a client that can be asked for a sample.",
            needed.model_dump(by_alias=True, mode="json", exclude_none=True),
        )


def _name_or_question(ctx: Context[Any]) -> str | InputRequiredResult:
    answer = _answers(ctx).get("user_name")
    if isinstance(answer, ElicitResult) and answer.content:
        return f"Hello, {answer.content.get('name')}!"
    return _required(user_name=_form("What is your name?", "name"))


def _answers(ctx: Context[Any]) -> Mapping[str, object]:
    return ctx.input_responses or {}


def _required(state: str | None = None, /, **asked: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=asked, request_state=state)


def _form(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema: dict[str, Any] = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))
