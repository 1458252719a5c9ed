"""An agent of Google's ADK with a chat endpoint, and a person who answers its forms. Its time-out of 5 s is raised."""

import asyncio

from google.adk.agents import LlmAgent
from google.adk.models.lite_llm import LiteLlm
from google.adk.runners import InMemoryRunner
from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams
from google.genai.types import Content, Part
from mcp import StdioServerParameters
from mcp.types import ElicitRequestParams, ElicitResult
from telling import APPROVE, given, tell

asked: list[str] = []


async def person(context: object, params: ElicitRequestParams) -> ElicitResult:
    asked.append(params.message)
    return ElicitResult(action="accept", content=APPROVE)


async def main() -> None:
    wanted = given()
    connection = StdioConnectionParams(server_params=StdioServerParameters(**wanted["server"]), timeout=60)
    toolset = McpToolset(connection_params=connection, elicitation_callback=person)
    model = LiteLlm("openai/scripted", api_base=wanted["model"], api_key="none")
    runner = InMemoryRunner(LlmAgent(name="assistant", model=model, tools=[toolset]), app_name="test")
    session = await runner.session_service.create_session(app_name="test", user_id="person")
    said = ""
    message = Content(role="user", parts=[Part(text=wanted["goal"])])
    async for event in runner.run_async(user_id="person", session_id=session.id, new_message=message):
        if event.is_final_response() and event.content:
            said = "".join(part.text or "" for part in event.content.parts)
    tell([tool.name for tool in await toolset.get_tools()], said, asked)
    await toolset.close()


asyncio.run(main())
