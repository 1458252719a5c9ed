"""A CrewAI agent, which starts a server for each call, and a chat endpoint. It has no forms."""

from crewai import LLM, Agent
from crewai.mcp import MCPServerStdio
from telling import given, tell

wanted = given()
server = MCPServerStdio(**wanted["server"])
agent = Agent(
    role="assistant",
    goal="help",
    backstory="none",
    llm=LLM(model="openai/scripted", base_url=wanted["model"], api_key="none"),
    mcps=[server],
)
result = agent.kickoff(wanted["goal"])
tell([tool.name for tool in agent.get_mcp_tools([server])], str(result.raw))
