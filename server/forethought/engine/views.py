"""What clients, the terminal and resources are shown of runs, models and tools: structured, and as short text."""

__all__ = ["models_view", "run_view", "text_of", "tools_view"]

from collections.abc import Mapping, Sequence

from forethought.catalogue import nearest_tools
from forethought.engine.kinds import kind_of
from forethought.engine.kinds.look import View
from forethought.engine.plan_views import PAGE
from forethought.engine.records import Records
from forethought.journal.rows import RunRow
from forethought.models import Models
from forethought_patterns.signatures import listed_tool
from forethought_tools import JSON, Registry, Role
from forethought_tools.text import as_text

_NEAR = 20  # tools that are shown for some words


def run_view(records: Records, run: RunRow, *, steps: str = "brief", page: int | None = 1, reader: str = "") -> View:
    """A run as it stands: progress, who is waited for, what failed, the answer, and what to call next. The `reader` is
    told the work that it has taken in full."""
    return kind_of(run).look(records, run, steps=steps, page=page, reader=reader)


def models_view(models: Models) -> View:
    """Which model plays which role, and of agents why."""
    played = {role: models.for_role(role) for role in Role}
    view: View = {str(role): model.name if model else "the calling agent" for role, model in played.items()}
    return {**view, "agent": f"{view['agent']}: {models.why_agent}"}


def tools_view(tools: Registry, page: int, words: str = "") -> View:
    """The tools that steps can call, or those nearest to some words: each with what it takes, where it comes from, its
    risk, and why it has that. Of other servers' tools only the nearest are told whole."""
    listed = nearest_tools(words, tools, _NEAR) if words else list(tools)
    shown: list[JSON] = [
        listed_tool(tool, tools, whole=bool(words) or not tool.source)
        for tool in listed[(page - 1) * PAGE : page * PAGE]
    ]
    more = f'get_plan(view="tools", page={page + 1}) shows more; ' if len(listed) > page * PAGE else ""
    if any(tool.source for tool in listed) and not words:
        more += 'get_plan(view="tools", words="...") tells all of the nearest; '
    why = "there is nothing on this page" if listed else "no tool has to do with these words"
    none = {} if shown else {"found": why}
    return {
        "status": "ok",
        **none,
        "tools": shown,
        "next": f'{more}create_plan(goal="...", steps=[...]) takes steps that call them',
    }


def text_of(view: View) -> str:
    """The same facts as lines, for models and people who read rather than parse."""
    lines: list[str] = []
    for key, value in view.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping):
            lines += [f"{name}:", *(f"  {part}: {as_text(item)}" for part, item in value.items())]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            lines += [f"{name}:", *(line for item in value for line in _item(item))]
        elif isinstance(value, str) and "\n" in value:
            lines += [f"{name}:", value]
        else:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def _item(value: JSON) -> list[str]:
    """One of a list: on a line, or, where it holds texts of several lines, in a block with a line for each part."""
    if not isinstance(value, Mapping) or not any(isinstance(part, str) and "\n" in part for part in value.values()):
        return [f"  - {as_text(value)}"]
    lines: list[str] = []
    for name, part in value.items():
        text = as_text(part)
        lines += [f"    {name}: {text}"] if "\n" not in text else [f"    {name}:", *_barred(text)]
    return [f"  -{lines[0][3:]}", *lines[1:]]


def _barred(text: str) -> list[str]:
    """Behind a bar no line of others can be taken for one of ours."""
    return [f"      | {line}" for line in text.splitlines()]
