"""An agent of smolagents that writes code, and a chat endpoint. It has no forms.

Its other agent, which makes calls, asks the model for every argument of a tool, also for those that may be left out.
"""

from mcp import StdioServerParameters
from smolagents import CodeAgent, MCPClient, OpenAIServerModel
from telling import given, tell

wanted = given()
model = OpenAIServerModel("scripted", api_base=wanted["model"], api_key="none")
with MCPClient(StdioServerParameters(**wanted["server"]), structured_output=False) as tools:
    said = CodeAgent(tools=tools, model=model, verbosity_level=0).run(wanted["goal"])
    tell([tool.name for tool in tools], str(said))
