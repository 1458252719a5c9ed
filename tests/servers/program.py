"""A small MCP server, started as a program. A file beside it, which tests write, says what it has become."""

import json
import os
import sys
from pathlib import Path
from typing import Any, Literal, cast

import anyio
from mcp.server.elicitation import render_elicitation_schema
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    ImageContent,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
    ToolAnnotations,
)
from mcp_types.version import is_version_at_least
from pydantic import BaseModel

HOME = Path(sys.argv[1])
SAYS: dict[str, str] = (
    json.loads((HOME / "says.json").read_text(encoding="utf-8")) if (HOME / "says.json").exists() else {}
)

QUESTION = "What is your name?"


class Name(BaseModel):
    name: str


server = MCPServer("small")
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
with (HOME / "starts").open("a", encoding="utf-8") as starts:
    starts.write(f"{os.getpid()}\n")


@server.tool(description=SAYS.get("look", "Look something up."), annotations=READS)
async def look(what: str) -> str:
    return f"{what} is found"


@server.tool(annotations=ToolAnnotations(read_only_hint=True, open_world_hint=True))
async def fetch(url: str) -> str:
    return f"the page of {url}"


@server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False))
async def add(line: str) -> str:
    with (HOME / "lines").open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")
    return "added"


@server.tool()
async def delete_file(path: str) -> str:
    (HOME / "deleted").write_text(path, encoding="utf-8")
    return "gone"


@server.tool(annotations=READS)
async def much() -> str:
    return "x" * 20_000 + "the end"


@server.tool(annotations=READS)
async def environment() -> list[str]:
    return sorted(os.environ)


@server.tool(annotations=READS)
async def fail() -> str:
    raise ValueError("never shown")


@server.tool(annotations=READS)
async def die() -> str:
    os._exit(1)


@server.tool(annotations=READS)
async def picture() -> list[TextContent | ImageContent]:
    return [
        TextContent(type="text", text="a dot"),
        ImageContent(type="image", data="iVBORw0KGgo=", mime_type="image/png"),
    ]


@server.tool(annotations=READS)
async def slow(ctx: Context) -> str:
    (HOME / "begun").touch()
    try:
        await ctx.report_progress(1, 4, "a quarter")
        await anyio.sleep_forever()
    finally:
        (HOME / "cancelled").touch()
    return "never"


@server.tool(annotations=READS)
async def greet(ctx: Context) -> str | InputRequiredResult:
    """Greet whoever says their name."""
    if is_version_at_least(ctx.protocol_version or "", "2026-07-28"):
        if answer := (ctx.input_responses or {}).get("who"):
            assert isinstance(answer, ElicitResult)
            return _greeting(answer.action, str((answer.content or {}).get("name")))
        form = ElicitRequestFormParams(message=QUESTION, requested_schema=render_elicitation_schema(Name))
        return InputRequiredResult(input_requests={"who": ElicitRequest(params=form)}, request_state="1")
    said = await ctx.elicit(QUESTION, Name)
    return _greeting(said.action, said.data.name if said.action == "accept" else "")


@server.tool(annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False))
async def greet_once(ctx: Context) -> str | InputRequiredResult:
    """The same, and it must not be done twice."""
    return await greet(ctx)


@server.tool(annotations=READS)
async def ask(ctx: Context) -> str | InputRequiredResult:
    """Ask for what a file says."""
    if answer := (ctx.input_responses or {}).get("form"):
        assert isinstance(answer, ElicitResult)
        return f"{answer.action} {json.dumps(answer.content)}"
    schema = json.loads((HOME / "form.json").read_text(encoding="utf-8"))
    form = ElicitRequestFormParams(message=QUESTION, requested_schema=schema)
    return InputRequiredResult(input_requests={"form": ElicitRequest(params=form)}, request_state="1")


@server.tool(annotations=READS)
async def imagine(ctx: Context) -> str | InputRequiredResult:
    """Have a model name a colour, and then a fruit."""
    if not is_version_at_least(ctx.protocol_version or "", "2026-07-28"):
        colour = await _sampled(ctx, "colour")
        await _held()
        return f"{colour} {await _sampled(ctx, 'fruit')}"
    answers = ctx.input_responses or {}
    if "fruit" in answers:
        return f"{ctx.request_state} {_said(answers['fruit'])}"
    if "colour" in answers:
        await _held()
    asked = "fruit" if "colour" in answers else "colour"
    request = CreateMessageRequest(params=CreateMessageRequestParams(**_wanted(asked)))
    state = _said(answers["colour"]) if "colour" in answers else "1"
    return InputRequiredResult(input_requests={asked: request}, request_state=state)


async def _sampled(ctx: Context, what: str) -> str:
    request = CreateMessageRequest(params=CreateMessageRequestParams(**_wanted(what)))
    try:
        return _said(await ctx.session.send_request(request, CreateMessageResult))
    except MCPError as error:
        raise ToolError(error.error.message) from None


def _wanted(what: str) -> dict[str, Any]:
    content = TextContent(type="text", text=f"Name a {what}.")
    return {"messages": [SamplingMessage(role="user", content=content)], "max_tokens": 10}


def _said(answer: object) -> str:
    assert isinstance(answer, CreateMessageResult)
    assert isinstance(answer.content, TextContent)
    return answer.content.text


async def _held() -> None:
    """Where a test says so, go no further and tell who has started this program."""
    if (HOME / "hold").exists():
        (HOME / "held").write_text(str(os.getppid()), encoding="utf-8")
        await anyio.sleep_forever()


@server.tool(annotations=READS)
async def sign_in(ctx: Context) -> str | InputRequiredResult:
    """Have somebody sign in on a page."""
    address = (HOME / "address").read_text(encoding="utf-8")
    if not is_version_at_least(ctx.protocol_version or "", "2026-07-28"):
        return (await ctx.elicit_url("Sign in.", address, "1")).action
    if answer := (ctx.input_responses or {}).get("page"):
        assert isinstance(answer, ElicitResult)
        return answer.action
    page = ElicitRequestURLParams(message="Sign in.", url=address)
    return InputRequiredResult(input_requests={"page": ElicitRequest(params=page)}, request_state="1")


def _greeting(action: str, name: str) -> str:
    with (HOME / "greetings").open("a", encoding="utf-8") as greetings:
        greetings.write(action + "\n")
    return f"hello {name}" if action == "accept" else f"nobody ({action})"


@server.resource("note://one")
async def one() -> str:
    return "the note"


async def serve_older_era() -> None:
    """As servers do that were made before 2026-07-28: they know no `server/discover`."""
    lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage] - there is no public way
    async with stdio_server() as (read, write), lowlevel.lifespan(lowlevel) as state:
        await serve_loop(lowlevel, read, write, lifespan_state=state)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        server.run(cast("Literal['sse', 'streamable-http']", sys.argv[2]), port=int(sys.argv[3]))
    elif os.environ.get("ONLY") == "legacy":
        anyio.run(serve_older_era)
    else:
        server.run("stdio")
