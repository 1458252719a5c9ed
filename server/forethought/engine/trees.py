"""The tree of a search as its notes tell it: as JSON, as a flowchart and as an outline."""

__all__ = ["Branch", "flowchart_of", "outline", "trees"]

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from forethought.engine.mermaid import flowchart, node
from forethought.engine.notes import notes
from forethought.journal.queries import Queries
from forethought_tools import JSON
from forethought_tools.text import as_text, clipped, one_line
from forethought_tools.visible import visible

_LINE = 160  # characters of a node's label
_DRAWN = 120  # nodes that a picture can show
_COLOURS = {"plain": "#ffffff", "solved": "#cfe8cf", "failed": "#f3c6c6"}


@dataclass
class Branch:
    """A node of a search tree, with all below it."""

    name: str
    """Its way from the root, such as `0.2.1`."""
    action: str = ""
    tool: str = ""
    result: str = ""
    prior: float = 0.0
    terminal: bool = False
    reward: float | None = None
    visits: int = 1
    total: float = 0.0
    children: "list[Branch]" = field(default_factory=list["Branch"])

    @property
    def value(self) -> float:
        return (self.prior + self.total) / self.visits

    @property
    def solved(self) -> bool:
        return self.terminal and (self.reward or 0) >= 1

    def walk(self) -> "Iterator[Branch]":
        """This node and all below, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def body(self) -> dict[str, JSON]:
        """The node and all below as JSON."""
        return {
            "node": self.name,
            "action": self.action,
            **({"tool": self.tool} if self.tool else {}),
            "result": self.result,
            "value": round(self.value, 4),
            "visits": self.visits,
            **({"terminal": True, "reward": self.reward} if self.terminal else {}),
            "children": [child.body() for child in self.children],
        }

    def label(self) -> str:
        """One line: what was done, and how it looks."""
        end = " SOLVED" if self.solved else " end" if self.terminal else ""
        what = " ".join(filter(None, [self.tool, self.action])) or "start"
        return f"{visible(clipped(one_line(what), _LINE))} [{self.value:.2f}, {self.visits} visits{end}]"


def trees(queries: Queries, run_id: str) -> dict[str, Branch]:
    """The tree of a search, or those of the steps of a plan, by the step and attempt that it is for."""
    found: dict[str, Branch] = {}
    nodes: dict[tuple[str, str], Branch] = {}
    ends: list[tuple[str, Mapping[str, JSON]]] = []
    for note in notes(queries, run_id):
        if note.kind == "grown":
            name = str(note.body["node"])
            if note.purpose not in found:
                found[note.purpose] = nodes[note.purpose, name] = Branch(name)
            for child in cast("Sequence[Mapping[str, Any]]", note.body["children"]):
                branch = _branch(child)
                nodes[note.purpose, name].children.append(branch)
                nodes[note.purpose, branch.name] = branch
        elif note.kind == "valued":
            nodes[note.purpose, str(note.body["node"])].prior = float(str(note.body["value"]))
        elif note.kind == "ended":
            ends.append((note.purpose, note.body))
    for purpose, end in ends:
        _backpropagate(purpose, str(end["leaf"]), float(str(end["reward"])), nodes)
    return found


def _branch(child: Mapping[str, Any]) -> Branch:
    action = str(child["action"])
    if child["tool"]:
        action = f"{as_text(child['arguments'])} {action}"
    return Branch(
        child["node"],
        action,
        child["tool"],
        child["result"],
        child["value"],
        child["terminal"],
        child["reward"],
    )


def _backpropagate(purpose: str, leaf: str, reward: float, nodes: Mapping[tuple[str, str], Branch]) -> None:
    parts = leaf.split(".")
    for depth in range(1, len(parts) + 1):
        branch = nodes[purpose, ".".join(parts[:depth])]
        branch.visits += 1
        branch.total += reward


def outline(branch: Branch, indent: str = "") -> str:
    """The tree as indented text, the most visited first."""
    children = sorted(branch.children, key=lambda child: (child.visits, child.value), reverse=True)
    return "\n".join([f"{indent}{branch.label()}", *(outline(child, f"{indent}  ") for child in children)])


def flowchart_of(root: Branch) -> str:
    """The tree as a flowchart; of a large one the most visited nodes."""
    ranked = sorted(root.walk(), key=lambda each: (-each.visits, each.name.count("."), each.name))
    drawn = {each.name for each in ranked[:_DRAWN]}
    lines: list[str] = []
    for each in root.walk():
        above = each.name.rpartition(".")[0]
        if each.name in drawn and (each is root or above in drawn):
            state = "solved" if each.solved else "failed" if each.terminal else "plain"
            lines.append(node(_id(each.name), each.label(), state))
            if each is not root:
                lines.append(f"{_id(above)} --> {_id(each.name)}")
    return flowchart(lines, _COLOURS)


def _id(name: str) -> str:
    return f"n{name.replace('.', '_')}"
