"""Calls of tools that need no model."""

import anyio

from forethought_tools import JSON, Question, Registry, ToolError


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def said(registry: Registry, name: str, **arguments: JSON) -> str:
    """What a call gives back, or why it is refused."""
    with anyio.fail_after(120):
        try:
            return str(await registry.call(name, arguments, nobody))
        except ToolError as error:
            return f"refused: {error}"
