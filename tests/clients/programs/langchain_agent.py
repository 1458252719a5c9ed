"""LangChain's adapters as they come, which start a server for each call, and a chat model of LangChain's."""

import asyncio

from langchain_core.messages import BaseMessage, HumanMessage
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI
from telling import given, tell


async def main() -> None:
    wanted = given()
    client = MultiServerMCPClient({"forethought": {"transport": "stdio", **wanted["server"]}})
    tools = {tool.name: tool for tool in await client.get_tools()}
    model = ChatOpenAI(model="scripted", base_url=wanted["model"], api_key="none", max_retries=0)
    agent = model.bind_tools(list(tools.values()))
    messages: list[BaseMessage] = [HumanMessage(wanted["goal"])]
    while (answer := await agent.ainvoke(messages)).tool_calls:
        messages += [answer, *[await tools[call["name"]].ainvoke(call) for call in answer.tool_calls]]
    tell(list(tools), str(answer.content))


asyncio.run(main())
