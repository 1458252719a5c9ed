"""Prompts for the common ways to start: what a person picks in a client's menu, with their own words filled in."""

__all__ = ["add_prompts"]

from typing import Annotated, TypeAlias

from mcp.server.mcpserver import MCPServer
from pydantic import Field

from forethought.app import App

_Goal: TypeAlias = Annotated[str, Field(description="What you want, in your own words.")]


def add_prompts(server: MCPServer[App]) -> None:
    """Give the server its prompts. Each names the tool to call first; `next` in its result leads on from there."""

    @server.prompt(title="Plan a goal")
    def plan(goal: _Goal) -> str:
        """Make a plan, show it, and run it once you agree."""
        return (
            "Make a plan for this goal with create_plan. Show me the steps, with what is risky about them, and call"
            f" execute_plan only once I agree.\n\nGoal: {goal}"
        )

    @server.prompt(title="Plan and run a goal")
    def run(goal: _Goal) -> str:
        """Plan and run at once; you are asked before anything risky."""
        return (
            "Reach this goal with execute_plan(goal=...), and follow `next` in each result until the run has ended."
            f" Then tell me what came of it, and what nobody has verified.\n\nGoal: {goal}"
        )

    @server.prompt(title="Write or improve a text")
    def improve(task: Annotated[str, Field(description="What the text or code is to be.")], draft: str = "") -> str:
        """Draft, critique and revise until it is good."""
        given = f"\n\nDraft:\n{draft}" if draft else ""
        return (
            "Do this with reflect. Give it `checks` for whatever can be checked without a judgement, and show me the"
            f" best draft with what is still amiss.\n\nTask: {task}{given}"
        )

    @server.prompt(title="Find a way")
    def search(goal: _Goal) -> str:
        """Tree search where many ways are possible; nothing is changed."""
        return (
            "Look for a way to this goal with lats_search. Give it a `verifier` if a right answer can be told from a"
            f" wrong one, and show me the best way before anything is done about it.\n\nGoal: {goal}"
        )

    @server.prompt(title="Where things stand")
    def status() -> str:
        """What runs, what waits for you, and what is done."""
        return (
            "List the plans and runs with get_plan. Tell me what runs, what waits for me and how I can decide it, and"
            " what came of the latest."
        )
