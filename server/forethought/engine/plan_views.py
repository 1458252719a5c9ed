"""What clients are shown of plans: their shape, their steps, a flowchart, and what a revision has changed."""

__all__ = [
    "PAGE",
    "check_calls",
    "diff_view",
    "differences",
    "graph",
    "in_short",
    "making_of",
    "plan_view",
    "results_of",
    "steps_of",
]

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from forethought.engine.loop_views import Loops
from forethought.engine.mermaid import flowchart, node
from forethought.engine.records import Records
from forethought.journal.rows import MessageRow, PlanRow, StepRow
from forethought_patterns import Check, Plan, Step, advice
from forethought_patterns.gate_lines import in_brief
from forethought_tools import JSON, Registry, Risk
from forethought_tools.delegating import DELEGATE
from forethought_tools.text import as_text, clipped
from forethought_tools.visible import cut, one_line_json, visible

PAGE = 50  # steps
_BRIEF = 8  # steps
_RISKY = 12  # more steps, of high risk
_ARGUMENT = 100  # characters of one argument of a risky step
_LINE = 300  # characters
_CHANGE = 120  # characters of a value that has changed
_DIFFERENCES = 20  # where they are not what was asked for
_DESCRIPTION = 80
_LABEL = 60
_VALUE = 2000  # characters of arguments, or of a result
_RESULT = 700  # the same, of what the last steps brought
_LAST = 10  # steps whose results are shown
_IDS = 12
_ADVICE = 8  # lines
_COLOURS = {
    "succeeded": "#cfe8cf",
    "running": "#cfe0f5",
    "waiting": "#f9e7b0",
    "failed": "#f3c6c6",
    "rejected": "#f3c6c6",
    "in_doubt": "#f5d9b8",
    "skipped": "#e6e6e6",
    "pending": "#ffffff",
}


def plan_view(records: Records, row: PlanRow, *, steps: str = "brief", page: int | None = 1) -> dict[str, JSON]:
    """A plan before it runs: its shape, its risks, its first steps; `steps` is brief, list or full; no page is all."""
    plan = records.plan(row.id, row.revision)
    view: dict[str, JSON] = {
        "plan_id": row.id,
        "status": "ready",
        "goal": clipped(plan.goal, _LINE),
        "revision": plan.revision,
        "shape": f"{len(plan.steps)} steps, up to {plan.width} at once, longest chain {len(plan.critical_path)}"
        f" ({_ids(plan.critical_path)})",
        "levels": clipped(" | ".join(_ids(level) for level in plan.levels), _LINE),
        "risk": _risks(plan, records.tools),
        "steps": steps_of(plan, records.tools, steps, page, {}, row.id),
        "advice": [*advice(plan), *_advised(row), *_doubt(row)],
        "next": f'execute_plan(plan_id="{row.id}")',
    }
    return {key: value for key, value in view.items() if value not in ([], "")}


def steps_of(
    plan: Plan,
    tools: Registry,
    how: str,
    page: int | None,
    rows: Mapping[int, StepRow],
    plan_id: str,
    spared: Mapping[int, str] = MappingProxyType({}),
) -> list[JSON]:
    """The steps of a plan, with their states where it has run: `brief`, `list` or `full`. Of some nobody was asked,
    because of a rule: those are `spared`."""
    if how == "brief":
        later = [step for step in plan.steps[_BRIEF:] if _risk(step, tools) is Risk.HIGH][:_RISKY]
        lines: list[JSON] = [_line(step, tools) for step in (*plan.steps[:_BRIEF], *later)]
        more = len(plan.steps) - len(lines)
        return [*lines, f'... and {more} more: get_plan(plan_id="{plan_id}", view="list")'] if more > 0 else lines
    loops = Loops(rows.values())
    shown: Sequence[tuple[Step, Mapping[str, JSON]]]
    shown = loops.expanded(plan.steps) if how == "full" else [(step, {}) for step in plan.steps]
    chosen = shown if page is None else shown[(page - 1) * PAGE : page * PAGE]
    if shown and not chosen:
        return [f"There is no page {page}: the last is {(len(shown) - 1) // PAGE + 1}."]
    if how == "list":
        return [_line(step, tools, rows.get(step.id), loops) for step, _ in chosen]
    whole = [
        (step.id, {**_whole(step, tools, rows.get(step.id)), **more, **loops.progress(step, rows.get(step.id))})
        for step, more in chosen
    ]
    return [view | ({"not_asked": f"rule {spared[at]}"} if at in spared else {}) for at, view in whole]


def results_of(plan: Plan, rows: Sequence[StepRow]) -> dict[str, JSON]:
    """What the last steps brought: what the plan is for."""
    by_id = {row.id: row for row in rows}
    return {
        f"step {step_id} ({plan.by_id[step_id].tool})": _bounded(
            by_id[step_id].result, _RESULT, _whole_of(by_id[step_id])
        )
        for step_id in plan.last[:_LAST]
        if by_id[step_id].state == "succeeded"
    }


def making_of(waiting: Sequence[MessageRow]) -> str:
    """How far the making of a plan is."""
    drafts = [message.key for message in waiting if message.key.startswith("plan/")]
    faulty = drafts and drafts[0] != "plan/0"
    return "the plan was refused: its faults are at the end of the new order" if faulty else "making the plan"


def graph(records: Records, plan_id: str) -> str:
    """A plan as a flowchart, each step with its state in the latest run. Raises NotFoundError."""
    plan = records.plan(plan_id, records.queries.plan(plan_id).revision)
    latest = records.queries.runs(plan=plan_id, limit=1)
    rows = {row.id: row for row in records.queries.steps(latest[0].id)} if latest else {}
    loops = Loops(rows.values())
    nodes = [
        node(
            f"s{step.id}",
            clipped(f"{step.id}. {step.description or step.tool}", _LABEL)
            + clipped(loops.counted(step), _LABEL)
            + "".join(f"; {who} calls {tool}" for who, tool, _ in step.calls[1:]),
            loops.state(step, rows[step.id]) if step.id in rows else "pending",
        )
        for step in plan.steps
    ]
    return flowchart([*nodes, *(f"s{needed} --> s{step.id}" for step in plan.steps for needed in step.needs)], _COLOURS)


def diff_view(records: Records, row: PlanRow, against: int) -> dict[str, JSON]:
    """What is different in a revision from an earlier one (0: from nothing): steps that came, went, or changed."""
    why = row.body.get("why")
    earlier = f', view="diff", revision={row.revision - 1}' if row.revision > 2 else ""
    return {
        "plan_id": row.id,
        "status": "ok",
        "revision": row.revision,
        "against": against,
        **({"why": clipped(str(why), _LINE)} if why else {}),
        "diff": differences(records, row.id, against, row.revision),
        "next": f'get_plan(plan_id="{row.id}"{earlier})',
    }


def differences(records: Records, plan_id: str, earlier: int, later: int) -> list[JSON]:
    """What a revision has and an earlier one (0: nothing) has not, a line each: steps that went, came, or changed."""
    tools = records.tools
    old: Mapping[int, Step] = records.plan(plan_id, earlier).by_id if earlier else {}
    new = records.plan(plan_id, later)
    gone: list[JSON] = [f"- {_line(step, tools)}" for step in old.values() if step.id not in new.by_id]
    return gone + [
        f"~ {step.id}. {_fields(old[step.id], step)}" if step.id in old else f"+ {_line(step, tools, whole=True)}"
        for step in new.steps
        if step != old.get(step.id)
    ]


def in_short(lines: Sequence[JSON], whole: str = "") -> list[JSON]:
    """The first of many differences, how many more there are, and where all of them can be seen."""
    more: list[JSON] = [f"and {len(lines) - _DIFFERENCES} more{whole}"] if len(lines) > _DIFFERENCES else []
    return [*lines[:_DIFFERENCES], *more]


def _fields(old: Step, new: Step) -> str:
    """The fields of a step that are different, and of its arguments those that are."""
    before, after = _flat(old), _flat(new)
    return "; ".join(
        f"{visible(name)}: {_said(before.get(name))} → {_said(after.get(name))}"
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name)
    )


def _flat(step: Step) -> dict[str, JSON]:
    fields = {**step.wire(), "depends_on": list(step.needs)}
    return {**fields, "arguments": None, **{f"arguments.{name}": value for name, value in step.arguments.items()}}


def _said(value: JSON) -> str:
    return "(none)" if value is None else one_line_json(_brief_value(value))


def _brief_value(value: JSON) -> JSON:
    text = as_text(value)
    return value if len(text) <= _CHANGE else cut(text, _CHANGE)


def _line(
    step: Step, tools: Registry, row: StepRow | None = None, loops: Loops | None = None, *, whole: bool = False
) -> str:
    counted = clipped(loops.counted(step) if loops else step.turns, _ARGUMENT).strip()
    turns = f" {visible(counted)}" if counted else ""
    after = f" after {_ids(step.needs)}" if step.needs else ""
    state = f" [{loops.state(step, row) if loops else row.state}]" if row else ""
    what = f": {visible(clipped(step.description, _DESCRIPTION))}" if step.description else ""
    checks = "".join(f"; {each}" for each in _checking(step, tools))
    # What is called with may not hide behind what is said of it.
    shown = step.told and (whole or _risk(step, tools) > Risk.LOW)
    called = f" {in_brief(step.told, _ARGUMENT)}" if shown else ""
    return f"{step.id}. {visible(step.tool)} ({_risk(step, tools)}){called}{turns}{after}{what}{checks}{state}"


def check_calls(checks: Sequence[Check], who: str, tools: Registry) -> dict[str, JSON]:
    """The calls that checks make, where they make any, each with its risk."""
    made = [call for check in checks if (call := check.call())]
    lines: list[JSON] = [_call(who, tool, arguments, tools) for tool, arguments in made]
    return {"calls": lines} if lines else {}


def _checking(step: Step, tools: Registry) -> list[JSON]:
    return [_call(who, tool, arguments, tools) for who, tool, arguments in step.calls[1:]]


def _call(who: str, tool: str, arguments: Mapping[str, JSON], tools: Registry) -> str:
    return clipped(f"{who} calls {tool} ({tools.risk(tool, arguments)}) {in_brief(arguments)}", _LINE)


def _risk(step: Step, tools: Registry) -> Risk:
    """The highest risk of all that a step may call."""
    return max(tools.risk(tool, arguments) for _, tool, arguments in step.calls)


def _whole(step: Step, tools: Registry, row: StepRow | None) -> dict[str, JSON]:
    view: dict[str, JSON] = {
        **step.wire(),
        "depends_on": list(step.needs),
        "risk": str(_risk(step, tools)),
    }
    if checking := _checking(step, tools):
        view["calls"] = checking
    if row:
        view |= {"state": row.state, "attempt": row.attempt}
        if row.arguments not in (None, step.arguments):
            view["called_with"] = _bounded(row.arguments, _VALUE, f"run://{row.run}/journal has the whole")
        if step.tool == DELEGATE and row.started:
            view["transcript"] = f"run://{row.run}/steps/{step.id}/transcript"
        if row.result is not None:
            view["result"] = _bounded(row.result, _VALUE, _whole_of(row))
        if row.error:
            view["error"] = row.error
    return view


def _risks(plan: Plan, tools: Registry) -> str:
    by_risk = {risk: [s for s in plan.steps if _risk(s, tools) == risk] for risk in sorted(Risk, reverse=True)}
    lines = (
        f"{risk}: {_ids([s.id for s in steps])} ({_means(risk, steps, tools)})"
        for risk, steps in by_risk.items()
        if steps
    )
    return "; ".join(lines)


def _means(risk: Risk, steps: Sequence[Step], tools: Registry) -> str:
    checking = ", with what their checks call" if any(len(step.calls) > 1 for step in steps) else ""
    if risk is not Risk.LOW:
        return {Risk.HIGH: "a person is asked first", Risk.MEDIUM: "writes"}[risk] + checking
    # By what tools do, and not by what they count as: a person may have lowered the risk of one that writes.
    reads = all(tools.reads_only(tool) for step in steps for _, tool, _ in step.calls)
    return ("read only" if reads else "nobody is asked") + checking


def _advised(row: PlanRow) -> list[str]:
    """What was found when the plan was kept."""
    kept = row.body.get("advice")
    found = [str(each) for each in kept] if isinstance(kept, Sequence) and not isinstance(kept, str) else []
    more = [f"And {len(found) - _ADVICE} more of the kind."] if len(found) > _ADVICE else []
    return [clipped(each, _LINE) for each in found[:_ADVICE]] + more


def _doubt(row: PlanRow) -> list[str]:
    confidence = row.body.get("confidence")
    if not isinstance(confidence, float | int) or confidence >= 0.5:
        return []
    return [f"The model itself doubts that this plan reaches the goal ({confidence:.0%} sure). Look before you run it."]


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:_IDS])) + (f" and {len(ids) - _IDS} more" if len(ids) > _IDS else "")


def _whole_of(row: StepRow) -> str:
    return f'get_plan(view="full") shows {_VALUE:,} of them, run://{row.run}/steps/{row.id}/result all'


def _bounded(value: JSON, size: int, whole: str) -> JSON:
    text = as_text(value)
    if len(text) <= size:
        return value
    return f"{text[:size]}... ({len(text):,} characters; {whole})"
