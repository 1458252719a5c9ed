"""The OpenAI Agents SDK, with a chat endpoint. It has no forms; its time-out of five seconds is raised, unless another
one is told."""

import asyncio

from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio
from openai import AsyncOpenAI
from telling import given, tell


async def main() -> None:
    wanted = given()
    set_tracing_disabled(True)
    model = OpenAIChatCompletionsModel("scripted", AsyncOpenAI(base_url=wanted["model"], api_key="none", max_retries=0))
    async with MCPServerStdio(wanted["server"], client_session_timeout_seconds=wanted.get("patience", 60)) as server:
        agent = Agent("assistant", model=model, mcp_servers=[server])
        result = await Runner.run(agent, wanted["goal"])
        tell([tool.name for tool in await server.list_tools()], str(result.final_output))


asyncio.run(main())
