"""A small MCP server, started as a program. A file beside it, which tests write, says what it has become."""

import json
import os
import sys
from pathlib import Path
from typing import Literal, cast

import anyio
from mcp.server.elicitation import render_elicitation_schema
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.runner import serve_loop
from mcp.server.stdio import stdio_server
from mcp.types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    ImageContent,
    InputRequiredResult,
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
