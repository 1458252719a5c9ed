"""Flowcharts in the words of Mermaid."""

__all__ = ["fenced", "flowchart", "node"]

import re
from collections.abc import Mapping, Sequence

from forethought_tools.visible import visible

# Whatever else Mermaid reads as its own (quotes, markup, entities, `%%{init}%%`, formulas) becomes an entity of its.
_OWN = re.compile(r"[^\w .,:;()\[\]/\\!?+='*|-]", re.ASCII)


def flowchart(lines: Sequence[str], colours: Mapping[str, str]) -> str:
    """A whole chart: nodes and arrows, then the fill of each state."""
    # The text's colour too: in a dark theme it would be light, on a fill that is light.
    styles = [f"classDef {state} fill:{colour},stroke:#555,color:#111" for state, colour in colours.items()]
    return "\n".join(["flowchart TD", *(f"    {line}" for line in (*lines, *styles))])


def fenced(chart: str) -> str:
    """The chart as a chat shows it."""
    return f"```mermaid\n{chart}\n```"


def node(name: str, label: str, state: str) -> str:
    """One node, whose label may be any text."""
    label = visible(label)
    return f'{name}["{_OWN.sub(_entity, label)}"]:::{state}'


def _entity(match: re.Match[str]) -> str:
    return match[0] if ord(match[0]) > 127 else f"#{ord(match[0])};"
