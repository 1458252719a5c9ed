"""A server with 300 tools, as large ones have: ten deeds to thirty things. None of them does anything."""

from collections.abc import Awaitable, Callable

from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations

DEEDS = ("list", "count", "export", "create", "close", "move", "rename", "archive", "assign", "merge")
THINGS = (
    "ticket invoice order shipment contact company deal quote contract payment refund product label comment note"
    " calendar_event meeting task project milestone branch release build alert report dashboard survey form asset team"
)
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False)

server = MCPServer("desk")


def tool(name: str) -> Callable[[str, int], Awaitable[str]]:
    async def run(owner: str, number: int = 0) -> str:
        return f"{name} of {owner}, {number}"

    return run


for thing in THINGS.split():
    for deed in DEEDS:
        name = f"{deed}_{thing}"
        hints = READS if deed in DEEDS[:3] else WRITES if deed == "create" else None
        server.add_tool(tool(name), name=name, description=f"{deed.capitalize()} a {thing}.", annotations=hints)

if __name__ == "__main__":
    server.run()
