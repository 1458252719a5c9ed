"""A step whose words are worth more than one call of a model: reflected upon, or found by a search."""

__all__ = ["Override", "strategy_of", "think", "writer_of"]

from collections.abc import Mapping
from typing import TypeAlias

from forethought_patterns.author import CRITERIA, Task, improve
from forethought_patterns.lats import Bounds
from forethought_patterns.plan import Step, Strategy
from forethought_patterns.tool_calls import ToolCalls
from forethought_patterns.worlds import Quest, find
from forethought_tools import JSON, Answerer, Registry, Role, Tool, ToolError
from forethought_tools.delegating import DELEGATE
from forethought_tools.text import as_text

Override: TypeAlias = Mapping[str, Strategy]
"""Strategies by step id, or `*` for all, instead of what the plan says."""

_BOUNDS = Bounds(8, 3, 5, parallel=2)  # of a search within a step: the plan has others to do


def strategy_of(step: Step, override: Override, tools: Registry) -> Strategy:
    """How a step's words are had; where no model is asked there is nothing to think over."""
    known = tools.get(step.tool)
    if known is None or not known.asks or step.tool == DELEGATE:
        return "direct"
    return override.get(str(step.id)) or override.get("*") or step.strategy


def writer_of(step: Step) -> Role:
    """Who words the result of a step, where a model does."""
    return Role.AGENT if step.tool == DELEGATE else Role.EXECUTOR


async def think(
    step: Step, strategy: Strategy, arguments: Mapping[str, JSON], calls: ToolCalls, ask: Answerer, prefix: str
) -> JSON:
    """The result of a step. Questions, calls and notes are named after `prefix`.

    Raises:
        ToolError: the tool failed, or the search has found nothing.
    """
    tool = calls.tools.known(step.tool)
    if strategy == "direct":
        return await tool.run(arguments, ask)
    wish, material = _wish(step, tool, arguments)
    checks = [step.check] if step.check else []
    if strategy == "reflect":
        draft = str(await tool.run(arguments, ask))
        expected = [step.expected_output] if step.expected_output.strip() else []
        task = Task(wish, [*expected, *CRITERIA], checks, material)
        return (await improve(task, draft, calls, prefix=prefix, given=False)).best.draft
    found = await find(Quest(wish, material, step.check, _BOUNDS), "act", calls, prefix=prefix)
    if not found.best.terminal or not found.best.reward:
        raise ToolError(f"The search has found no answer ({found.stopped}).")
    return found.best.state[-1].result


def _wish(step: Step, tool: Tool, arguments: Mapping[str, JSON]) -> tuple[str, str]:
    """What is wanted, and what it is made of: what a tool needs is the wish, all else is material."""
    required = tool.parameters.get("required")
    names = required if isinstance(required, list) else []
    wish = [step.description, *(f"{name}: {value}" for name, value in arguments.items() if name in names)]
    material = [as_text(value) for name, value in arguments.items() if name not in names]
    return "\n".join(filter(None, wish)), "\n\n".join(filter(None, material))
