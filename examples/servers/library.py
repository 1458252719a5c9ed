"""A small library, as an MCP server of your own may be: it finds books, lends them, and has a model praise them."""

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    InputRequiredResult,
    SamplingMessage,
    TextContent,
    ToolAnnotations,
)

READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False)
BOOKS = {"Middlemarch": "George Eliot", "Emma": "Jane Austen", "Persuasion": "Jane Austen"}

server = MCPServer("library")
lent: list[str] = []


@server.tool(annotations=READS)
async def find_books(author: str) -> list[str]:
    """The titles of an author."""
    return [title for title, by in BOOKS.items() if by == author]


@server.tool(annotations=WRITES)
async def lend(title: str, reader: str) -> str:
    """Lend a book to a reader."""
    lent.append(title)
    return f"{title} is lent to {reader}"


@server.tool(annotations=READS)
async def praise(title: str, ctx: Context) -> str | InputRequiredResult:
    """A sentence in praise of a book, by whatever model the client has."""
    if answers := ctx.input_responses:
        answer = answers["praise"]
        assert isinstance(answer, CreateMessageResult)
        return answer.content.text if isinstance(answer.content, TextContent) else ""
    asked = SamplingMessage(role="user", content=TextContent(type="text", text=f"Praise {title} in a sentence."))
    request = CreateMessageRequest(params=CreateMessageRequestParams(messages=[asked], max_tokens=50))
    return InputRequiredResult(input_requests={"praise": request}, request_state=title)


@server.tool()
async def withdraw(title: str) -> str:
    """Take a book out of the library for good."""
    return f"{BOOKS.pop(title)}'s {title} is gone"


if __name__ == "__main__":
    server.run()
