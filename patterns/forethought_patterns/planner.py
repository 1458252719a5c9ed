"""From a goal to a valid plan, and from a plan that did not work out to one that goes on from what is done.

The planner writes a draft; its exact faults go back a few times. Nothing but validation makes a plan of it.
"""

__all__ = ["Brief", "Early", "Progress", "doubt", "make_plan", "replan"]

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from forethought_patterns.catalogue import listed_tools, schemas_of
from forethought_patterns.cuts import with_reference
from forethought_patterns.drafts import Brief, draft_schema, wire_steps
from forethought_patterns.gates import digest
from forethought_patterns.hints import hints
from forethought_patterns.last_resort import last_resort
from forethought_patterns.lean import lean_faults, lean_question, lean_repair, lean_rest, lean_steps
from forethought_patterns.lints import lints
from forethought_patterns.plan import Plan, Step
from forethought_patterns.ports import Dialect, Heard, Journal, PlanJournal
from forethought_patterns.quoting import quoted
from forethought_patterns.roles import DOUBT, HOST_PLANNER, MATERIAL, PLANNER, REPAIR, REPLANNER
from forethought_patterns.script_text import as_script
from forethought_patterns.slots import Slot
from forethought_patterns.validate import parse_plan, refuse_unusable
from forethought_patterns.watcher import Outcome
from forethought_tools import JSON, Fault, ModelError, PlanError, Question, Registry, Role, Tool
from forethought_tools.errors import MOST_SHOWN
from forethought_tools.text import as_text, shortened

P = TypeVar("P", bound=Plan | None)

_REPAIRS, _LEAN_REPAIRS = 2, 3
_RECIPES: Mapping[Dialect, int] = {"wire": 1, "flat": 2}  # that a larger planner is shown
_RESULT = 1500  # characters of each result that a planner is shown


@dataclass(frozen=True, slots=True)
class Early:
    """Steps that start while their plan is still being written."""

    heard: Heard
    """Hears the first draft while it is written."""
    steps: PlanJournal
    """Knows what has begun."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a revision of a plan came, and why the rest of it has to change."""

    plan: Plan
    outcomes: Mapping[int, Outcome]
    """How its steps ended; those that succeeded are finished."""
    reason: str
    failed: Mapping[str, str]
    """What every call that has failed in this run said, by the digest of the call. None may come back."""
    next_step: int
    """The first id that a new step may have."""
    told: Mapping[int, Sequence[str]] = field(default_factory=dict[int, Sequence[str]])
    """What agents have told of steps besides their results."""
    items: Sequence[Step] = ()
    """The items of its loops that are not done as a whole: what is done of them stays, each as a step."""

    @property
    def done(self) -> list[Step]:
        """The steps that are finished."""
        ended = [(step, self.outcomes.get(step.id)) for step in self.plan.steps]
        items = [(step, self.outcomes.get(step.id)) for step in self.items]
        done = [step for step, outcome in ended if outcome is not None and outcome.done]
        return done + [step for step, outcome in items if outcome is not None and outcome.state == "succeeded"]


async def make_plan(
    brief: Brief,
    tools: Registry,
    journal: Journal,
    *,
    slot: Slot,
    early: Early | None = None,
) -> Plan:
    """Ask for a plan until it is valid, at most three times, and a small planner four times. Where it has brought none,
    a goal about texts has a plan all the same.

    What has begun `early`, while the first draft was being written, cannot be in the plan in another form.

    Raises:
        PlanError: the faults of the last draft.
    """
    dialect = journal.dialect(Role.PLANNER)

    def read(draft: JSON) -> Plan:
        steps = lean_steps(draft, brief, tools) if dialect == "lean" else wire_steps(draft, tools)
        plan = parse_plan(brief.goal, steps, tools, context=brief.context, reasoning=_reasoning(draft), planned=True)
        if early and (changed := _changed(plan, early)):
            mend = "Leave it as it is, or give the new step another id"
            raise PlanError([Fault(f"step {number}", "it has started already as it was", mend) for number in changed])
        return plan

    looks = partial(_pretences, brief=brief, tools=tools) if dialect == "lean" else None
    question = _question(brief, tools, dialect)
    told, heard = _told(brief, tools, dialect), early.heard if early else None
    other = lean_question(brief, tools, others=True) if looks else None
    repair = lean_repair if looks else partial(_repair, tools=tools)
    last = last_resort(brief) if looks else None
    return await _until_valid(
        "plan",
        question,
        read,
        journal,
        slot,
        repair=repair,
        looks=looks,
        other=other,
        last=last,
        heard=heard,
        told=told,
    )


def _changed(plan: Plan, early: Early) -> list[int]:
    """The steps that have begun already, and are another in the plan."""
    begun = early.steps.early()
    return [step.id for step in plan.steps if begun.get(step.id, step) != step]


async def replan(
    progress: Progress,
    brief: Brief,
    tools: Registry,
    journal: Journal,
    *,
    key: str,
    slot: Slot,
    optional: bool = False,
) -> Plan | None:
    """Ask for the rest of a plan anew: finished steps stay as they are, everything else goes.

    Args:
        progress: How far the present revision came; the answer is the next one.
        brief: What the planner is told.
        tools: What steps can call.
        journal: Puts the question, and keeps the answer.
        key: What the question is recorded for.
        slot: Whoever asks.
        optional: The planner may also leave the rest as it is; then there is no new plan.

    Raises:
        PlanError: the faults of the last draft, such as a call that has failed before.
    """
    plan, done, first = progress.plan, progress.done, progress.next_step
    dialect = journal.dialect(Role.PLANNER)

    def read(draft: JSON) -> Plan | None:
        if optional and isinstance(draft, Mapping) and draft.get("keep") is True:
            return None
        kept = Plan(plan.goal, tuple(done)).wire() if done else []
        lean = dialect == "lean"
        steps = lean_steps(draft, brief, tools, first=first, done=done) if lean else wire_steps(draft, tools)
        fresh = [step for step in steps if not _repeats(step, done)]
        if not fresh and not optional:
            raise PlanError([Fault("plan", "it has no new step", "Give at least one step that goes another way")])
        if faults := _stale(fresh, first, progress.failed):
            raise PlanError(faults)
        changed = parse_plan(
            plan.goal,
            [*kept, *fresh],
            tools,
            context=plan.context,
            reasoning=_reasoning(draft),
            revision=plan.revision + 1,
            planned=plan.planned,
        )
        items = {step.id for step in progress.items}
        meant = {meaning for number, meaning in changed.meanings.items() if number not in items}
        if not optional and meant <= {*plan.meanings.values()}:
            raise PlanError([Fault("plan", "it is the same plan as before, which did not do", "Go another way")])
        return changed

    looks = partial(_pretences, brief=brief, tools=tools, done=done) if dialect == "lean" else None
    question = _replan_question(progress, brief, tools, dialect, optional=optional)
    repair, told = lean_repair if looks else partial(_repair, tools=tools), _told(brief, tools, dialect)
    return await _until_valid(key, question, read, journal, slot, repair=repair, looks=looks, told=told)


async def _until_valid(
    key: str,
    question: Question,
    read: Callable[[JSON], P],
    journal: Journal,
    slot: Slot,
    *,
    repair: Callable[[Question, JSON, Sequence[Fault]], Question],
    looks: Callable[[Plan], Awaitable[Sequence[Fault]]] | None = None,
    other: Question | None = None,
    last: str | None = None,
    heard: Heard | None = None,
    told: str,
) -> P:
    """Ask until a draft can be read, and nothing is seen in it that `looks` takes for a fault. A small planner is also
    asked again where its plan does not seem to do what the goal says; in the end the best of these stands, or where
    there is none the `last` draft, which is ours. What is `told` at the beginning of the first question is not told
    again."""
    asked = question
    again = replace(question, context=question.context.removeprefix(told))
    best: tuple[int, P] | None = None
    repairs = _LEAN_REPAIRS if looks else _REPAIRS
    for attempt in range(repairs + 1):
        draft: JSON = ""
        faults: Sequence[Fault]
        try:
            draft = await journal.ask(f"{key}/{attempt}", asked, slot=slot, heard=None if attempt else heard)
            plan = await _seen(read(draft), looks)
        except (PlanError, ModelError) as error:
            if attempt == repairs and best is None:
                if last is not None:
                    with suppress(PlanError):
                        return await _seen(read(last), looks)
                raise
            if isinstance(error, PlanError):
                faults = error.faults[:MOST_SHOWN]
            elif looks is None:
                raise
            else:  # a small model may write without end; another time it may not
                faults = [Fault("script", "it had no end", "Write a few lines")]
        else:
            faults = hints(plan) if looks and plan is not None else []
            if not faults:
                return plan
            best = (len(faults), plan) if best is None or len(faults) < best[0] else best
        # A small planner that has brought its faults back goes on with what it sees of its own: it sees none of it.
        asked = repair(again, draft, faults) if other is None or not attempt else lean_repair(other, "", faults)
    assert best is not None
    return best[1]


async def _seen(plan: P, looks: Callable[[Plan], Awaitable[Sequence[Fault]]] | None) -> P:
    """The plan, once all was looked at that takes a moment. Raises PlanError."""
    if plan is not None:
        await refuse_unusable(plan)
        if looks is not None and (faults := await looks(plan)):
            raise PlanError(faults)
    return plan


async def _pretences(plan: Plan, brief: Brief, tools: Registry, done: Sequence[Step] = ()) -> Sequence[Fault]:
    """What pretends in a plan by script, in the words of the script. What is done cannot be mended."""
    kept = {f"step {step.id}" for step in done}
    return lean_faults([fault for fault in await lints(plan, brief, tools) if fault.where not in kept], plan)


async def doubt(plan: Plan, journal: Journal, *, slot: Slot) -> float | None:
    """How sure a model is that the plan reaches its goal, from 0 to 1, or none where no model of ours can tell.

    A small model is not asked: it takes nearly every wrong plan for right.
    """
    if journal.dialect(Role.CRITIC) == "lean":
        return None
    steps = "\n".join(f"{step.id}. {step.tool} {as_text(step.arguments)[:300]}" for step in plan.steps[:40])
    context = f"{MATERIAL}\n\nsteps:\n{steps}\n\ngoal: {plan.goal}\n\nDo the steps reach the whole goal?"
    question = Question(Role.CRITIC, DOUBT, context, {"type": "boolean"})
    return await journal.judge("plan/doubt", question, slot=slot)


def _listed(brief: Brief, tools: Registry, dialect: Dialect) -> str:
    return f"Tools:\n{listed_tools(tools, dialect, brief.tools)}\n\n"


def _question(brief: Brief, tools: Registry, dialect: Dialect) -> Question:
    if dialect == "lean":
        return lean_question(brief, tools)
    context = f"{_listed(brief, tools, dialect)}{_material(brief, dialect)}Goal: {brief.goal}"
    return Question(Role.PLANNER, _INSTRUCTIONS[dialect], context, draft_schema(tools, dialect))


def _told(brief: Brief, tools: Registry, dialect: Dialect) -> str:
    """What the calling agent still knows when its draft comes back. Every call of a model begins anew."""
    return _listed(brief, tools, dialect) if dialect == "wire" else ""


def _replan_question(
    progress: Progress, brief: Brief, tools: Registry, dialect: Dialect, *, optional: bool
) -> Question:
    plan, outcomes, reason, first = progress.plan, progress.outcomes, progress.reason, progress.next_step
    shown = {
        step.id: _shown(value) if dialect == "lean" else with_reference(step.id, value, _RESULT)
        for step, value in ((step, outcomes[step.id].value) for step in progress.done)
    }
    left = [step for step in plan.steps if step not in progress.done]
    if dialect == "lean":
        fates = [f"{as_script([step], tools)}  # {_fate(outcomes.get(step.id))}" for step in left]
        return lean_question(brief, tools, past=lean_rest(progress.done, shown, fates, reason))
    rest = [f"{_call(step)} {_fate(outcomes.get(step.id))}" for step in left]
    good = "\n".join(f"{_call(step)} -> {shown[step.id]}" for step in progress.done) or "nothing"
    bad = "\n".join([*rest, *_noted(progress.told)]) or "nothing"
    instructions = _INSTRUCTIONS[dialect] + "\n\n" + REPLANNER.format(first=first)
    instructions += "\n- Set keep to true if the steps that are not done are still right." if optional else ""
    more: dict[str, JSON] = {"keep": {"type": "boolean"}} if optional else {}
    context = (
        f"{_listed(brief, tools, dialect)}{_material(brief, dialect)}{MATERIAL}\n{quoted('done', good)}\n"
        f"{quoted('not-done', bad)}\n{quoted('why', reason)}\n\nGoal: {plan.goal}"
    )
    return Question(Role.PLANNER, instructions, context, draft_schema(tools, dialect, **more))


def _stale(steps: Sequence[JSON], first: int, failed: Mapping[str, str]) -> list[Fault]:
    """Steps of a new draft that bring back what has failed, or an id that is taken."""
    faults: list[Fault] = []
    for step in steps:
        if not isinstance(step, Mapping):
            continue
        where = f"step {step.get('id')}"
        arguments = step.get("arguments")
        if isinstance(arguments, Mapping) and step.get("for_each"):
            arguments = {**arguments, "for_each": step["for_each"]}
        if isinstance(arguments, Mapping) and (said := failed.get(digest(str(step.get("tool")), arguments))):
            mend = "Find another way to the goal"
            faults.append(Fault(where, f"this very call has failed before ({said[:200]}): no progress", mend))
        number = step.get("id")
        if isinstance(number, int) and number < first:
            faults.append(Fault(where, "its id is taken by an earlier step", f"Number new steps from {first} on"))
    return faults


def _repeats(step: JSON, done: Sequence[Step]) -> bool:
    """Whether the planner has merely listed a finished step again."""
    if not isinstance(step, Mapping):
        return False
    same = [old for old in done if old.id == step.get("id")]
    return bool(same) and (same[0].tool, same[0].arguments) == (step.get("tool"), step.get("arguments"))


def _reasoning(draft: JSON) -> str:
    return str(draft.get("reasoning", "")) if isinstance(draft, Mapping) else ""


def _call(step: Step) -> str:
    return f"{step.id}. {step.tool} {as_text(step.arguments)[:600]}{step.turns}"


def _noted(told: Mapping[int, Sequence[str]]) -> list[str]:
    return [f"The agent of step {step} notes: {_shown(note)}" for step, notes in told.items() for note in notes]


def _shown(value: JSON) -> str:
    return shortened(value, _RESULT, " [cut: {left} more characters]")


def _fate(outcome: Outcome | None) -> str:
    return f"({outcome.state}: {outcome.error[:1000]})" if outcome else "(not begun)"


def _material(brief: Brief, dialect: Dialect) -> str:
    files = "".join(f"\n--- first lines of {path}\n{text}" for path, text in brief.files.items())
    lessons = "".join(f"\n- {lesson}" for lesson in brief.lessons)
    learned = f"\n--- lessons of earlier runs{lessons}" if lessons else ""
    shown = "".join(f"\n{recipe.goal}\n{recipe.script}\n" for recipe in brief.recipes[: _RECIPES[dialect]])
    alike = (
        f"\n--- how such goals were reached; name = tool(...) is a step, and name its result{shown}" if shown else ""
    )
    material = f"{brief.context}{files}{learned}{alike}"
    return f"{MATERIAL}\n{quoted('material', material)}\n\n" if material else ""


def _repair(question: Question, draft: JSON, faults: Sequence[Fault], tools: Registry) -> Question:
    shown = as_text(draft)[:8000]
    schemas = schemas_of(_unknown_to(question, draft, faults, tools))
    needed = f"\nThese tools of other servers take:\n{schemas}" if schemas else ""
    context = f"{question.context}\n\n{REPAIR}\nYour plan was: {shown}\nFaults:\n" + "\n".join(
        f"- {fault}" for fault in faults
    )
    return Question(question.role, question.instructions, context + needed, question.schema)


def _unknown_to(question: Question, draft: JSON, faults: Sequence[Fault], tools: Registry) -> list[Tool]:
    """The tools of other servers that faulty steps call, or seem to mean, and whose schemas were not told."""
    steps = draft.get("steps") if isinstance(draft, Mapping) else None
    if not isinstance(steps, Sequence):
        return []
    wrong = {fault.where for fault in faults}
    names = [str(s.get("tool")) for s in steps if isinstance(s, Mapping) and f"step {s.get('id')}" in wrong]
    meant = [name if name in tools else (tools.nearest(name) or [""])[0] for name in dict.fromkeys(names)]
    called = [tool for name in dict.fromkeys(meant) if (tool := tools.get(name)) is not None and tool.source]
    return [tool for tool in called if schemas_of([tool]).partition(": ")[2] not in question.context]


_INSTRUCTIONS: Mapping[Dialect, str] = {
    "wire": HOST_PLANNER,
    "flat": f"{PLANNER}\n- Give arguments as name/value pairs; a value that is not text as JSON.",
}
"""A small planner has a way of its own."""
