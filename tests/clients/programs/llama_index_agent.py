"""An agent of LlamaIndex, which starts a server for each call, and a chat endpoint. It has no forms."""

import asyncio

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai_like import OpenAILike
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec
from telling import given, tell


async def main() -> None:
    wanted = given()
    server = wanted["server"]
    client = BasicMCPClient(server["command"], args=server["args"], env=server["env"])
    tools = await McpToolSpec(client).to_tool_list_async()
    model = OpenAILike(
        model="scripted",
        api_base=wanted["model"],
        api_key="none",
        is_chat_model=True,
        is_function_calling_model=True,
        max_retries=0,
    )
    said = await FunctionAgent(tools=tools, llm=model).run(wanted["goal"])
    tell([str(tool.metadata.name) for tool in tools], str(said))


asyncio.run(main())
