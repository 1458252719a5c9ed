"""An agent of mcp-use with a chat model of LangChain's, and a person who answers its forms."""

import asyncio

from langchain_openai import ChatOpenAI
from mcp.types import ElicitRequestParams, ElicitResult
from mcp_use import MCPAgent, MCPClient
from telling import APPROVE, given, tell

asked: list[str] = []


async def person(context: object, params: ElicitRequestParams) -> ElicitResult:
    asked.append(params.message)
    return ElicitResult(action="accept", content=APPROVE)


async def main() -> None:
    wanted = given()
    client = MCPClient({"mcpServers": {"forethought": wanted["server"]}}, elicitation_callback=person)
    model = ChatOpenAI(model="scripted", base_url=wanted["model"], api_key="none", max_retries=0)
    said = await MCPAgent(llm=model, client=client, max_steps=30).run(wanted["goal"])
    tools = await client.get_session("forethought").list_tools()
    tell([tool.name for tool in tools], str(said), asked)
    await client.close_all_sessions()


asyncio.run(main())
