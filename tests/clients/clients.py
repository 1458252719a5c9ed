"""The clients that are tried: what each is installed from, and how a person is asked through it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.clients.environments import node, node_with, python_with

PROGRAMS = Path(__file__).parent / "programs"
_QUIET = {  # what clients would report of themselves stays on this machine
    "ANONYMIZED_TELEMETRY": "false",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
    "MCP_USE_ANONYMIZED_TELEMETRY": "false",
    "OTEL_SDK_DISABLED": "true",
}
_SECONDS = 300  # of one program, on a machine that others use too


@dataclass(frozen=True)
class Client:
    """A client, driven by the program of its name, in an environment that has its packages."""

    name: str
    program: str
    packages: Sequence[str]
    forms: bool = False  # whether it shows a person the forms of a server; else they use a terminal
    thinks: Literal["in calls", "in code", "not"] = "in calls"  # how it has a model work, if it is an agent
    always: bool = False  # whether it is tried in every run of the tests, not only when all are asked for

    def run(self, told: str, folder: Path, path: str) -> str:
        """What the program prints that drives the client, in a folder of its own."""
        program = PROGRAMS / self.program
        environment = {**os.environ, **_QUIET, "PATH": path}
        if program.suffix == ".mjs":
            shutil.copy(program, folder)
            (folder / "node_modules").symlink_to(node_with(*self.packages) / "node_modules")
            command = [str(node()), str(folder / program.name), told]
        else:
            command = [str(python_with(*self.packages)), str(program), told]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


_LANGCHAIN_OPENAI = "langchain-openai==1.7.4"
_MCP_1 = "mcp==1.30.0"  # for those that cannot be imported with its second edition, and do not say so

CLIENTS = [
    Client(
        "TypeScript SDK", "typescript.mjs", ["@modelcontextprotocol/sdk@1.32.2"], forms=True, thinks="not", always=True
    ),
    Client("LangChain", "langchain_agent.py", ["langchain-mcp-adapters==0.3.2", _LANGCHAIN_OPENAI], always=True),
    Client("OpenAI Agents", "openai_agent.py", ["openai-agents==0.24.0"], always=True),
    Client(
        "AutoGen",
        "autogen_agent.py",
        ["autogen-agentchat==0.7.5", "autogen-ext[openai]==0.7.5", _MCP_1],
        always=True,
    ),
    Client(
        "Vercel AI SDK",
        "vercel.mjs",
        ["ai@7.0.173", "@ai-sdk/mcp@2.0.99", "@ai-sdk/openai-compatible@3.0.92"],
        forms=True,
        always=True,
    ),
    Client("Pydantic AI", "pydantic_agent.py", ["pydantic-ai-slim[mcp,openai]==2.68.0"], forms=True),
    Client("fastmcp", "fastmcp_client.py", ["fastmcp==4.2.3"], forms=True, thinks="not"),
    Client("CrewAI", "crewai_agent.py", ["crewai==1.15.30"]),
    Client("mcp-use", "mcp_use_agent.py", ["mcp-use==1.7.1", _LANGCHAIN_OPENAI], forms=True),
    Client("Google ADK", "google_adk_agent.py", ["google-adk[mcp]==2.13.0", "litellm==1.110.2"], forms=True),
    Client(
        "LlamaIndex", "llama_index_agent.py", ["llama-index-tools-mcp==0.6.0", "llama-index-llms-openai-like==0.8.1"]
    ),
    Client("smolagents", "smolagents_agent.py", ["smolagents[mcp,openai]==1.26.0", _MCP_1], thinks="in code"),
]
