"""What clients are shown of plans and runs: structured, and the same facts as short text."""

__all__ = [
    "PAGE",
    "THOUGHTS",
    "View",
    "diff_view",
    "graph",
    "inline",
    "models_view",
    "plan_view",
    "run_view",
    "text_of",
]

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from forethought.engine.records import Records, resuming
from forethought.engine.supervisor import OPEN
from forethought.journal.rows import MessageRow, PlanRow, RunRow, StepRow
from forethought.models import Models
from forethought.surface.thinking import progress, thinking_view
from forethought_patterns import Plan, Step, advice
from forethought_patterns.budget import SOFT
from forethought_patterns.gates import visible
from forethought_tools import JSON, Registry, Risk, Role

View: TypeAlias = dict[str, JSON]

PAGE = 50
THOUGHTS = ("reflection", "search", "rollback")
"""The kinds of runs that have no plan."""
_BRIEF_STEPS = 8
_MOST_WAITING = 50
_ORDER_CHARACTERS = 24_000
_SHORT = 300


def plan_view(runs: Records, row: PlanRow, *, steps: str = "brief", page: int | None = 1) -> View:
    """A plan before it runs: its shape, its risks, its first steps; `steps` is brief, list or full; no page is all."""
    plan = runs.plan(row.id, row.revision)
    view: View = {
        "plan_id": row.id,
        "status": "ready",
        "goal": _cut(plan.goal),
        "revision": plan.revision,
        "shape": f"{len(plan.steps)} steps, up to {plan.width} at once, longest chain {len(plan.critical_path)}"
        f" ({_ids(plan.critical_path)})",
        "levels": _cut(" | ".join(_ids(level) for level in plan.levels)),
        "risk": _risks(plan, runs.tools),
        "steps": _steps(plan, runs.tools, steps, page, {}),
        "advice": advice(plan) + _doubt(row),
        "next": f'execute_plan(plan_id="{row.id}")',
    }
    return {key: value for key, value in view.items() if value not in ([], "")}


def run_view(runs: Records, run: RunRow, *, steps: str = "brief", page: int | None = 1) -> View:
    """A run as it stands: progress, who is waited for, what failed, the answer, and what to call next."""
    usage = _usage(runs, run)
    if run.kind in THOUGHTS:
        return _thought(runs, run, usage)
    if run.kind == "planning" and run.state == "succeeded":
        return {**plan_view(runs, runs.queries.plan(run.plan)), **usage}
    waiting = runs.queries.open_messages(run.id, limit=_MOST_WAITING) if run.state in OPEN else []
    status = "waiting" if waiting and run.state == "running" else run.state
    rows = runs.queries.steps(run.id) if steps != "brief" or run.state not in OPEN else []
    view: View = {"plan_id": run.plan, "run_id": run.id, "status": status, "progress": _progress(runs, run, waiting)}
    plan = runs.plan(run.plan, run.revision) if run.revision else None
    if plan and steps != "brief":
        view["steps"] = _steps(plan, runs.tools, steps, page, {row.id: row for row in rows})
    if run.error:
        view["error"] = run.error[:2000]
    if warnings := _nearly_spent(run):
        view["warnings"] = warnings
    if waiting:
        view["waiting_on"] = _waiting_on(run, waiting)
    if plan and run.state not in OPEN:
        results = _results(plan, rows)
        view |= {"answer": run.answer, "results": results} if run.answer else {"answer": results}
    if plan and plan.revision > 1:
        view["revision"] = plan.revision
    if run.ended and (rollbacks := runs.queries.rollbacks(run.id)):
        view["rolled_back"] = [_rolled_back(each) for each in rollbacks]
    view |= usage
    view["next"] = _next(runs, run, waiting, steps)
    return view


def _rolled_back(rollback: RunRow) -> str:
    step = rollback.options["step"]
    return f"{rollback.id} ({rollback.state})" + (f", step {step} alone" if step else "")


def _thought(runs: Records, run: RunRow, usage: View) -> View:
    """A reflection or a search as it stands."""
    waiting = runs.queries.open_messages(run.id, limit=_MOST_WAITING) if run.state in OPEN else []
    status = "waiting" if waiting and run.state == "running" else run.state
    view: View = {"run_id": run.id, "status": status, "progress": progress(runs.store, run)[2]}
    if run.error:
        view["error"] = run.error[:2000]
    if warnings := _nearly_spent(run):
        view["warnings"] = warnings
    if waiting:
        view["waiting_on"] = _waiting_on(run, waiting)
    else:
        view |= thinking_view(runs.store, run)
    return {**view, **usage, "next": _next(runs, run, waiting, "brief")}


def text_of(view: View) -> str:
    """The same facts as lines, for models and people who read rather than parse."""
    lines: list[str] = []
    for key, value in view.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping):
            lines += [f"{name}:", *(f"  {part}: {inline(item)}" for part, item in value.items())]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            lines += [f"{name}:", *(f"  - {inline(item)}" for item in value)]
        else:
            lines.append(f"{name}: {value}")
    return "\n".join(lines)


def graph(runs: Records, plan_id: str) -> str:
    """A plan as a Mermaid flowchart, each step with its state in the latest run. Raises NotFoundError."""
    plan = runs.plan(plan_id, runs.queries.plan(plan_id).revision)
    latest = runs.queries.runs(plan=plan_id, limit=1)
    rows = {row.id: row for row in runs.queries.steps(latest[0].id)} if latest else {}
    lines = ["flowchart TD"]
    for step in plan.steps:
        label = visible(f"{step.id}. {step.description or step.tool}"[:60]).replace('"', "'").replace("<", "(")
        label = label.replace(">", ")").replace("#", "no. ").replace("`", "'")
        state = rows[step.id].state if step.id in rows else "pending"
        lines.append(f'    s{step.id}["{label}"]:::{state}')
    lines += [f"    s{needed} --> s{step.id}" for step in plan.steps for needed in step.needs]
    colours = {
        "succeeded": "#cfe8cf",
        "running": "#cfe0f5",
        "waiting": "#f9e7b0",
        "failed": "#f3c6c6",
        "rejected": "#f3c6c6",
        "in_doubt": "#f5d9b8",
        "skipped": "#e6e6e6",
        "pending": "#ffffff",
    }
    lines += [f"    classDef {state} fill:{colour},stroke:#555" for state, colour in colours.items()]
    return "\n".join(lines)


def _steps(plan: Plan, tools: Registry, how: str, page: int | None, rows: Mapping[int, StepRow]) -> list[JSON]:
    if how == "brief":
        lines: list[JSON] = [_line(step, tools) for step in plan.steps[:_BRIEF_STEPS]]
        more = len(plan.steps) - _BRIEF_STEPS
        return [*lines, f"... and {more} more: get_plan(view='list')"] if more > 0 else lines
    chosen = plan.steps if page is None else plan.steps[(page - 1) * PAGE : page * PAGE]
    if how == "list":
        return [_line(step, tools, rows.get(step.id)) for step in chosen]
    return [_whole(step, tools, rows.get(step.id)) for step in chosen]


def _line(step: Step, tools: Registry, row: StepRow | None = None) -> str:
    after = f" after {_ids(step.needs)}" if step.needs else ""
    state = f" [{row.state}]" if row else ""
    what = f": {_cut(step.description, 80)}" if step.description else ""
    return f"{step.id}. {step.tool} ({tools.risk(step.tool)}){after}{what}{state}"


def _whole(step: Step, tools: Registry, row: StepRow | None) -> View:
    view: View = {
        **step.wire(),
        "depends_on": list(step.needs),
        "risk": str(tools.risk(step.tool)),
    }
    if row:
        view |= {"state": row.state, "attempt": row.attempt}
        if row.arguments not in (None, step.arguments):
            view["called_with"] = _bounded(row.arguments, 2000)
        if row.result is not None:
            view["result"] = _bounded(row.result, 2000)
        if row.error:
            view["error"] = row.error
    return view


def _usage(runs: Records, run: RunRow) -> View:
    """What the run has spent, with the making of its plan."""
    of_plan = runs.queries.runs(plan=run.plan, limit=100) if run.plan else []
    planning = [row for row in of_plan if row.kind == "planning" and row.id != run.id]
    spent = [run, *planning]
    calls = sum(row.model_calls for row in spent)
    told = [f"{sum(row.input_tokens for row in spent)} tokens in, {sum(row.output_tokens for row in spent)} out"]
    if dollars := sum(row.dollars for row in spent):
        told.append(f"{dollars:.2g} dollars")
    if unpriced := sum(row.unpriced for row in spent):
        told.append(f"{unpriced} calls of unknown price")
    return {"usage": f"model calls: {calls}, {', '.join(told)}"} if calls else {}


def _nearly_spent(run: RunRow) -> list[JSON]:
    spent = {
        "dollars": run.dollars,
        "tokens": run.input_tokens + run.output_tokens,
        "model_calls": run.model_calls,
        "tool_calls": run.tool_calls,
        "seconds": run.seconds,
    }
    return [
        f"{spent[measure]:.4g} of {limit:g} {measure.replace('_', ' ')} are spent"
        for measure, limit in run.budget.items()
        if spent[measure] >= SOFT * limit
    ]


def models_view(models: Models) -> View:
    """Which model plays which role."""
    played = {role: models.for_role(role) for role in Role}
    return {str(role): model.name if model else "the calling agent" for role, model in played.items()}


def diff_view(runs: Records, row: PlanRow, against: int) -> View:
    """What is different in a revision from an earlier one (0: from nothing): steps that came, went, or changed."""
    view: View = {"plan_id": row.id, "status": "ok", "revision": row.revision, "against": against}
    new = runs.plan(row.id, row.revision)
    old: Mapping[int, Step] = runs.plan(row.id, against).by_id if against else {}
    gone: list[JSON] = [f"- {_line(step, runs.tools)}" for step in old.values() if step.id not in new.by_id]
    changed: list[JSON] = [
        f"{'~' if step.id in old else '+'} {_line(step, runs.tools)} {_cut(json.dumps(step.arguments))}"
        for step in new.steps
        if step != old.get(step.id)
    ]
    why = row.body.get("why")
    return {
        **view,
        **({"why": _cut(str(why))} if why else {}),
        "diff": gone + changed,
        "next": f'get_plan(plan_id="{row.id}", view="diff", revision={row.revision - 1})'
        if row.revision > 2
        else f'get_plan(plan_id="{row.id}")',
    }


def _progress(runs: Records, run: RunRow, waiting: Sequence[MessageRow]) -> str:
    if not run.revision:
        drafts = [message.key for message in waiting if message.key.startswith("plan/")]
        faulty = drafts and drafts[0] != "plan/0"
        return "the plan was refused: its faults are at the end of the new order" if faulty else "making the plan"
    counts = runs.queries.progress(run.id)
    total = sum(counts.values())
    rest = [f"{count} {state}" for state, count in counts.items() if state not in ("succeeded", "pending")]
    return ", ".join([f"{counts.get('succeeded', 0)} of {total} steps succeeded", *rest])


def _waiting_on(run: RunRow, messages: Sequence[MessageRow]) -> list[JSON]:
    shown: list[JSON] = []
    room = _ORDER_CHARACTERS
    for message in messages:
        entry = _gate(run, message) if message.kind == "gate" else {"order": message.id, **message.body}
        size = len(json.dumps(entry))
        if shown and size > room:
            shown.append("... and more, shown when these are answered")
            break
        room -= size
        shown.append(entry)
    return shown


def _gate(run: RunRow, message: MessageRow) -> View:
    body = message.body
    view: View = {"gate": message.id, "kind": body["kind"], "for_a_person": f"forethought decide {run.id}"}
    if body["kind"] not in ("call", "doubt"):
        return {**view, "what": body["subject"]}
    arguments = _cut(visible(json.dumps(body["details"], ensure_ascii=False)))
    return {**view, "step": message.step, "tool": body["tool"], "arguments": arguments, "risk": body["risk"]}


def _results(plan: Plan, rows: Sequence[StepRow]) -> View:
    """What the last steps brought: what the plan is for."""
    by_id = {row.id: row for row in rows}
    return {
        f"step {step_id} ({plan.by_id[step_id].tool})": _bounded(by_id[step_id].result, 700)
        for step_id in plan.last[:10]
        if by_id[step_id].state == "succeeded"
    }


def _next(runs: Records, run: RunRow, waiting: Sequence[MessageRow], shown: str) -> str:
    resume = f"forethought {resuming(run.id, run.options)}"
    if run.stopping and run.ended is None:
        return f"It is being ended: by the server that drives it, by the next that starts, or by `{resume}`"
    again = f'execute_plan(plan_id="{run.plan}")' if run.kind == "plan" else f'report(run_id="{run.id}", answers=[])'
    if any(message.kind == "order" for message in waiting):
        return (
            "Do the orders in waiting_on yourself, then "
            f'report(run_id="{run.id}", answers=[{{"order": id, "answer": value that fits the order\'s schema}}])'
        )
    if waiting:
        return (
            f"Only a person can decide. If this client does not ask them, they can in a terminal:"
            f" `forethought decide {run.id}`. Then {again} goes on."
        )
    if run.state == "running" and run.owner and not runs.queries.alive(run.owner):
        return f"Its server is gone. The next one that starts goes on with it, or: `{resume}`"
    if run.state == "running":
        return f"{again} waits for more"
    if run.state == "waiting":
        return f"It was answered, and goes on with the next server that starts, or: `{resume}`. Then {again}"
    if run.state == "paused":
        return (
            f"A person has paused it, and only a person can let it go on: `forethought resume {run.id}`. Then {again}"
        )
    if run.kind == "rollback":
        return "nothing is left to do" if run.state == "succeeded" else "look at what was left, and mend it by hand"
    if run.kind in THOUGHTS:
        verb = "reflect" if run.kind == "reflection" else "lats_search"
        if not run.answer:
            return f"{verb} again, once what is in the way is mended"
        if run.kind == "reflection":
            return f"use the draft, or {verb} again with it and other criteria or checks"
        return f'create_plan(from_search="{run.id}") makes a plan of the path, if it is to be done'
    if run.kind == "planning":
        return "create_plan again with a clearer goal, or with steps of your own"
    if run.state == "succeeded" and shown != "brief":
        return "nothing is left to do"
    if run.state == "succeeded":
        return f'get_plan(plan_id="{run.plan}", view="full") shows every result'
    return (
        f'get_plan(plan_id="{run.plan}", view="full") shows what failed;'
        f' execute_plan(plan_id="{run.plan}", again=true) starts anew'
    )


def _risks(plan: Plan, tools: Registry) -> str:
    by_risk = {risk: [s.id for s in plan.steps if tools.risk(s.tool) == risk] for risk in sorted(Risk, reverse=True)}
    notes = {Risk.HIGH: "a person is asked first", Risk.MEDIUM: "writes", Risk.LOW: "read only"}
    return "; ".join(f"{risk}: {_ids(ids)} ({notes[risk]})" for risk, ids in by_risk.items() if ids)


def _doubt(row: PlanRow) -> list[str]:
    confidence = row.body.get("confidence")
    if not isinstance(confidence, float | int) or confidence >= 0.5:
        return []
    return [f"The model itself doubts that this plan reaches the goal ({confidence:.0%} sure). Look before you run it."]


def _ids(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:12])) + (f" and {len(ids) - 12} more" if len(ids) > 12 else "")


def _bounded(value: JSON, size: int) -> JSON:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) <= size:
        return value
    return f"{text[:size]}... ({len(text)} characters; the whole is in the journal)"


def _cut(text: str, size: int = _SHORT) -> str:
    return text if len(text) <= size else f"{text[: size - 3]}..."


def inline(value: JSON) -> str:
    """Text as it is, anything else as JSON on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
