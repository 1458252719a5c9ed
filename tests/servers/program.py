"""A small MCP server, started as a program. A file beside it, which tests write, says what it has become."""

import json
import os
import sys
from pathlib import Path

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ImageContent, TextContent, ToolAnnotations
from pydantic import BaseModel

HOME = Path(sys.argv[1])
SAYS = json.loads((HOME / "says.json").read_text(encoding="utf-8")) if (HOME / "says.json").exists() else {}

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


class Name(BaseModel):
    name: str


@server.resource("note://one")
async def one() -> str:
    return "the note"


if __name__ == "__main__":
    server.run("stdio")
