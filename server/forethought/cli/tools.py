"""`forethought tools`: what steps can call, where each tool comes from, its risk and why.

Only a server that was never seen is connected: what others offered the last time is known.
"""

__all__ = ["tools"]

from collections.abc import Sequence

import anyio
from rich.markup import escape
from rich.table import Table

from forethought.app import servers_for, tools_for
from forethought.catalogue import nearest_tools
from forethought.cli.terminal import console, errors, print_json
from forethought.settings import Settings
from forethought_patterns.signatures import said, signature
from forethought_tools import JSON, Registry, Risk, Tool
from forethought_tools.visible import visible

_NEAR = 20  # tools that are shown for some words
_WAIT = 120.0  # seconds: who sits at the terminal can stop it
_TOLD = 200  # characters of what a tool does


def tools(settings: Settings, words: Sequence[str], *, as_json: bool) -> int:
    """List every tool that steps can call, or those nearest to some words."""
    registry = tools_for(settings)
    if settings.servers:
        anyio.run(_meet, settings, registry)
    found = nearest_tools(" ".join(words), registry, _NEAR) if words else list(registry)
    rows = [_row(tool, registry) for tool in found]
    if as_json:
        print_json(rows)
    elif rows:
        console.print(_table(rows))
        for tool in found:
            for address in tool.addresses:
                console.print(escape(f"{tool.name} reads {address}"), soft_wrap=True)
    if not rows and not as_json:
        console.print("No tool has to do with these words. `forethought tools` lists all.")
    return 0


async def _meet(settings: Settings, registry: Registry) -> None:
    servers = servers_for(settings, registry)
    async with servers.running():
        await servers.met(_WAIT)
    for name, problem in registry.unreached.items():
        errors.print(escape(visible(f"The server {name} cannot be reached: {problem}")), soft_wrap=True)


def _row(tool: Tool, registry: Registry) -> dict[str, JSON]:
    risk, why = registry.standing(tool.name)
    row: dict[str, JSON] = {
        "tool": tool.name,
        "source": tool.source or "built in",
        "risk": str(risk),
        "why": why,
        "takes": signature(tool),
        "does": said(tool, _TOLD),
    }
    return {**row, "reads": [*tool.addresses]} if tool.addresses else row


def _table(rows: Sequence[dict[str, JSON]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("tool", "source", "risk", "why", "does"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "risk")
    for row in rows:
        cells = {name: escape(visible(str(cell))) for name, cell in row.items()}
        risk = "[bold red]high[/]" if row["risk"] == Risk.HIGH else cells["risk"]
        table.add_row(cells["tool"], cells["source"], risk, cells["why"], cells["does"])
    return table
