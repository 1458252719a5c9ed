"""Start-up and `get_plan` over stdio against an empty server of the same SDK, rounds interleaved."""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from mcp import StdioServerParameters
from mcp.client import Client

EMPTY = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("empty", log_level="WARNING")
@server.tool()
def nothing(plan_id: str = "") -> dict[str, str]:
    return {"status": "ok"}
server.run("stdio")
"""
FORETHOUGHT = "from forethought.cli import main; raise SystemExit(main(['serve']))"
CALLS = 300


def parameters(program: str, home: str) -> StdioServerParameters:
    env = {"FORETHOUGHT_HOME": home, "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"]}
    return StdioServerParameters(command=sys.executable, args=["-c", program], env=env, cwd=home)


async def measure(program: str, home: str, tool: str, mode: str) -> tuple[float, float]:
    """Seconds until initialized and first answered, and milliseconds per call."""
    started = time.perf_counter()
    async with Client(parameters(program, home), mode=mode) as client:
        await client.list_tools()  # a pinned modern version sends nothing before the first request
        ready = time.perf_counter() - started
        arguments: dict[str, Any] = {}
        if tool == "get_plan":
            steps = [{"id": n, "tool": "calculate", "arguments": {"expression": "1"}} for n in range(1, 11)]
            made = await client.call_tool("create_plan", {"goal": "benchmark", "steps": steps})
            arguments = {"plan_id": (made.structured_content or {})["plan_id"]}
        for _ in range(20):
            await client.call_tool(tool, arguments)
        started = time.perf_counter()
        for _ in range(CALLS):
            await client.call_tool(tool, arguments)
        return ready, (time.perf_counter() - started) / CALLS * 1e3


async def compare(rounds: int) -> None:
    for mode in ("legacy", "2026-07-28"):
        starts: list[tuple[float, float]] = []
        calls: list[tuple[float, float]] = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as home:
                ours = await measure(FORETHOUGHT, str(Path(home)), "get_plan", mode)
                empty = await measure(EMPTY, str(Path(home)), "nothing", mode)
            starts.append((ours[0], empty[0]))
            calls.append((ours[1], empty[1]))
        show(f"{mode}: start to first tool list, s (goal: at most 1.1 times)", starts)
        show(f"{mode}: get_plan against an empty tool, ms (goal: at most 1.5 times)", calls)


def show(title: str, pairs: list[tuple[float, float]]) -> None:
    ours, empty = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratios = [a / b for a, b in pairs]
    print(title)
    print(f"  forethought {ours:.2f}   empty {empty:.2f}   ratio: median {statistics.median(ratios):.2f},", end="")
    print(f" range {min(ratios):.2f} to {max(ratios):.2f}")


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    anyio.run(compare, options.parse_args().rounds)


if __name__ == "__main__":
    main()
