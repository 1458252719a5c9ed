"""Flowcharts in the words of Mermaid."""

__all__ = ["flowchart", "node"]

from collections.abc import Mapping, Sequence

from forethought_patterns.gates import visible

_PLAIN = {'"': "'", "<": "(", ">": ")", "#": "no. ", "`": "'"}  # what Mermaid would read as its own


def flowchart(lines: Sequence[str], colours: Mapping[str, str]) -> str:
    """A whole chart: nodes and arrows, then the fill of each state."""
    styles = [f"classDef {state} fill:{colour},stroke:#555" for state, colour in colours.items()]
    return "\n".join(["flowchart TD", *(f"    {line}" for line in (*lines, *styles))])


def node(name: str, label: str, state: str) -> str:
    """One node, whose label may be any text."""
    label = visible(label)
    for char, plain in _PLAIN.items():
        label = label.replace(char, plain)
    return f'{name}["{label}"]:::{state}'
