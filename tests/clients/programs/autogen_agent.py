"""AutoGen's assistant with a workbench of MCP tools. Its time-out of five seconds is raised."""

import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams
from telling import given, tell

ABILITIES = {"vision": False, "function_calling": True, "json_output": True, "structured_output": True}


async def main() -> None:
    wanted = given()
    model = OpenAIChatCompletionClient(
        model="scripted",
        base_url=wanted["model"],
        api_key="none",
        max_retries=0,
        model_info={**ABILITIES, "family": "unknown"},
    )
    async with McpWorkbench(StdioServerParams(**wanted["server"], read_timeout_seconds=60)) as workbench:
        agent = AssistantAgent("assistant", model, workbench=workbench, max_tool_iterations=10)
        result = await agent.run(task=wanted["goal"])
        tell([tool["name"] for tool in await workbench.list_tools()], result.messages[-1].to_text())


asyncio.run(main())
