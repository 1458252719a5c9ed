"""A Pydantic AI agent with a toolset of MCP, a chat endpoint, and a person who answers its forms."""

import asyncio

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from telling import APPROVE, given, tell

asked: list[str] = []


async def person(message: str, response_type: type, params: object, context: object) -> object:
    asked.append(message)
    return APPROVE


async def main() -> None:
    wanted = given()
    model = OpenAIChatModel("scripted", provider=OpenAIProvider(base_url=wanted["model"], api_key="none"))
    toolset = MCPToolset(StdioTransport(**wanted["server"]), elicitation_handler=person, init_timeout=60)
    async with toolset:
        result = await Agent(model, toolsets=[toolset]).run(wanted["goal"])
        tell([tool.name for tool in await toolset.list_tools()], str(result.output), asked)


asyncio.run(main())
