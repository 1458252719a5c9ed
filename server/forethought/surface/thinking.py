"""What clients are shown of reflections and searches: rounds, and the tree as JSON, as Mermaid and as an outline."""

__all__ = ["Branch", "mermaid", "outline", "progress", "rounds", "thinking_view", "trees"]

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from forethought.journal.rows import RunRow
from forethought.journal.store import Store
from forethought_patterns.gates import visible
from forethought_tools import JSON

View: TypeAlias = dict[str, JSON]

_DRAFT = 6000  # characters of a draft, or of an answer, that a result shows
_LINE = 160
_MERMAID = 120  # nodes that a picture can show
_PLAIN = {'"': "'", "<": "(", ">": ")", "#": "no. ", "`": "'"}  # what Mermaid would read as its own


@dataclass
class Branch:
    """A node of a search tree, as the notes tell it."""

    name: str
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

    def body(self) -> View:
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
        end = "" if not self.terminal else " SOLVED" if (self.reward or 0) >= 1 else " end"
        what = " ".join(filter(None, [self.tool, self.action])) or "start"
        return f"{visible(_cut(what))} [{self.value:.2f}, {self.visits} visits{end}]"


def rounds(store: Store, run_id: str) -> list[View]:
    """Each round of a reflection, or of those in the steps of a plan (`for` names the step)."""
    return [
        {**({"for": prefix} if prefix else {}), **body}
        for prefix, kind, _, body in _notes(store, run_id)
        if kind == "round"
    ]


def trees(store: Store, run_id: str) -> dict[str, Branch]:
    """The tree of a search, or those of the steps of a plan, by the step and attempt that it is for."""
    found: dict[str, Branch] = {}
    nodes: dict[tuple[str, str], Branch] = {}
    ended: list[tuple[str, str, float]] = []
    for prefix, kind, _, body in _notes(store, run_id):
        if kind == "grown":
            name = str(body["node"])
            if prefix not in found:
                found[prefix] = nodes[prefix, name] = Branch(name)
            for child in cast("Sequence[Mapping[str, Any]]", body["children"]):
                branch = Branch(
                    child["node"],
                    child["action"],
                    child["tool"],
                    child["result"],
                    child["value"],
                    child["terminal"],
                    child["reward"],
                )
                if branch.tool:
                    branch.action = f"{json.dumps(child['arguments'], ensure_ascii=False)} {branch.action}"
                nodes[prefix, name].children.append(branch)
                nodes[prefix, branch.name] = branch
        elif kind == "ended":
            ended.append((prefix, str(body["leaf"]), float(str(body["reward"]))))
    for prefix, leaf, reward in ended:
        parts = leaf.split(".")
        for depth in range(1, len(parts) + 1):
            branch = nodes[prefix, ".".join(parts[:depth])]
            branch.visits += 1
            branch.total += reward
    return found


def outline(branch: Branch, indent: str = "") -> str:
    """The tree as indented text, the most visited first."""
    children = sorted(branch.children, key=lambda child: (child.visits, child.value), reverse=True)
    return "\n".join([f"{indent}{branch.label()}", *(outline(child, f"{indent}  ") for child in children)])


def mermaid(branch: Branch) -> str:
    """The tree as a flowchart; of a large one the most visited nodes."""
    listed = sorted(_walk(branch), key=lambda each: (-each.visits, each.name.count("."), each.name))
    shown = {each.name for each in listed[:_MERMAID]}
    lines = ["flowchart TD"]
    for each in _walk(branch):
        if each.name in shown and (each is branch or each.name.rpartition(".")[0] in shown):
            label = each.label()
            for char, plain in _PLAIN.items():
                label = label.replace(char, plain)
            state = "plain" if not each.terminal else "solved" if (each.reward or 0) >= 1 else "failed"
            here, above = (name.replace(".", "_") for name in (each.name, each.name.rpartition(".")[0]))
            lines.append(f'    n{here}["{label}"]:::{state}')
            if each is not branch:
                lines.append(f"    n{above} --> n{here}")
    lines += [
        "    classDef plain fill:#ffffff,stroke:#555",
        "    classDef solved fill:#cfe8cf,stroke:#555",
        "    classDef failed fill:#f3c6c6,stroke:#555",
    ]
    return "\n".join(lines)


def progress(store: Store, run: RunRow) -> tuple[int, int, str]:
    """How much of a reflection or a search is done, of how much at most, and the same in words."""
    if run.kind == "reflection":
        judged = rounds(store, run.id)
        most = cast("int", run.options["max_iterations"])
        best = f", best score {max(float(str(each['score'])) for each in judged):g} of 10" if judged else ""
        return len(judged), most, f"{len(judged)} of at most {most} drafts judged{best}"
    if run.kind == "rollback":
        return 0, 0, "putting back what was changed" if run.state in ("running", "waiting") else "ended"
    most = cast("int", cast("Mapping[str, JSON]", run.options["bounds"])["iterations"])
    grown = trees(store, run.id).get("")
    nodes = list(_walk(grown)) if grown else []
    done = nodes[0].visits - 1 if nodes else 0
    ends = (
        f", best end {max(each.reward or 0 for each in nodes if each.terminal):.2f}"
        if any(each.terminal for each in nodes)
        else ""
    )
    return done, most, f"{done} of at most {most} trajectories, {max(0, len(nodes) - 1)} nodes{ends}"


def thinking_view(store: Store, run: RunRow) -> View:
    """What a reflection or a search has come to, as far as it is."""
    answer: Mapping[str, JSON] = run.answer if isinstance(run.answer, Mapping) else {}
    if run.kind == "rollback":
        return {"undone": answer["undone"]} if answer else {}
    if run.kind == "reflection":
        done = rounds(store, run.id)
        view: View = {"rounds": [_round_line(each) for each in done]}
        if answer:
            view = {
                "draft": _bounded(str(answer["draft"])),
                "score": answer["score"],
                "stopped": answer["stopped"],
                **view,
            }
            if answer["failing_checks"]:
                view["failing_checks"] = answer["failing_checks"]
        elif done and run.state == "cancelled":
            best = max(done, key=lambda each: float(str(each["score"])))
            view = {"draft": _bounded(str(best["draft"])), "score": best["score"], **view}
        return {**view, "details": f"run://{run.id}/rounds"}
    if not answer:
        return {"details": f"run://{run.id}/tree"}
    path = [_move_line(move) for move in cast("Sequence[Mapping[str, JSON]]", answer["path"])]
    shown: View = {"solved": answer["solved"], "stopped": answer["stopped"]}
    if answer["answer"]:
        shown["answer"] = _bounded(str(answer["answer"]))
    return {**shown, "path": path, "details": f"run://{run.id}/tree"}


def _round_line(body: Mapping[str, JSON]) -> str:
    checks = cast("Sequence[Mapping[str, JSON]]", body["checks"])
    failing = [each for each in checks if each["problem"]]
    issues = cast("Sequence[Mapping[str, JSON]]", body["issues"])
    parts = [
        f"draft {body['round']}: {body['score']} of 10",
        f"{len(checks) - len(failing)} of {len(checks)} checks pass" if checks else "",
        "no gain" if not body["gain"] else "",
        f"the critic's verdict does not count: {body['contradiction']}" if body.get("contradiction") else "",
        "; ".join(str(each["problem"]) for each in issues[:3]),
    ]
    return _cut(", ".join(filter(None, parts)), 2 * _LINE)


def _move_line(move: Mapping[str, JSON]) -> str:
    call = f" [{move['tool']} {json.dumps(move['arguments'], ensure_ascii=False)}]" if move["tool"] else ""
    return f"{_cut(str(move['action']))}{_cut(call)} -> {_cut(str(move['result']))}"


def _walk(branch: Branch) -> "list[Branch]":
    return [branch, *(each for child in branch.children for each in _walk(child))]


def _notes(store: Store, run_id: str) -> list[tuple[str, str, str, Mapping[str, JSON]]]:
    """Every note: what it is for, its kind, the rest of its key, and what it says."""
    found: list[tuple[str, str, str, Mapping[str, JSON]]] = []
    for message in store.queries.messages(run_id, "note"):
        parts = message.key.split("/")
        at = 3 if parts[0] == "step" else 0
        found.append(("/".join(parts[:at]), parts[at], "/".join(parts[at + 1 :]), message.body))
    return found


def _bounded(text: str) -> str:
    return text if len(text) <= _DRAFT else f"{text[:_DRAFT]}... ({len(text)} characters; `details` has the whole)"


def _cut(text: str, size: int = _LINE) -> str:
    line = " ".join(text.split())
    return line if len(line) <= size else f"{line[: size - 3]}..."
