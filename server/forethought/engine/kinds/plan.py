"""Runs of plans: a plan that was saved, or a goal that is planned and run at once."""

__all__ = ["PLAN", "Again", "latest_run", "not_planned", "save", "start", "start_goal", "started"]

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Literal, TypeAlias, cast

from anyio import to_thread

from forethought.engine.estimate import estimate
from forethought.engine.kinds.kind import Caller, Creator, Ending, Kind, Options, Progress, Work
from forethought.engine.kinds.look import Look, View
from forethought.engine.kinds.planning import PLANNING, GoalOptions, brief_options, is_told_by_its_plan
from forethought.engine.kinds.rollback import rolled_back
from forethought.engine.kinds.taking_up import TakenUp, same_gates, taken_up
from forethought.engine.plan_views import making_of, results_of, steps_of
from forethought.engine.records import Records, resuming
from forethought.engine.step_recorder import StepRecorder
from forethought.journal.codec import decision_of, outcome_of, step_of_row
from forethought.journal.database import StaleError, new_id
from forethought.journal.queries import Queries
from forethought.journal.rows import SETTLED, Fact, RunRow, StepRow
from forethought.terms import Terms
from forethought_patterns import Ended, Plan, Ports, Resumed, Rules, Step, parse_plan, run_plan
from forethought_patterns.gates import digest
from forethought_patterns.lints import lints
from forethought_patterns.numbering import COUNTS_FROM_0, counts_from_0
from forethought_patterns.validate import refuse_unusable
from forethought_tools import JSON, ForethoughtError
from forethought_tools.text import as_text

Again: TypeAlias = Literal["", "failed", "all"]
"""What is run once more of a plan that has run: nothing, what has not succeeded, or all of it."""

_SPARED = 5  # steps that are left out, and told of
_UNVERIFIED = "unverified"  # the key of the note


class PlanOptions(GoalOptions):
    """What a run of a plan keeps of how it was started."""

    takes_up: str = ""
    """The run whose results count in this one."""
    ask_about: Sequence[int] = ()
    """Steps that a person has rejected there, and is asked about again."""


async def save(creator: Creator, goal: str, context: str, steps: Sequence[JSON]) -> str:
    """Validate steps and keep them as a plan. Returns its id. Raises PlanError with every fault."""
    brief = await creator.brief(goal)  # before: it may be then that tools of other servers are seen first
    plan = await to_thread.run_sync(partial(parse_plan, goal, steps, creator.records.tools, context=context))
    await refuse_unusable(plan)
    found = await lints(plan, brief, creator.records.tools)
    counted = [f"{COUNTS_FROM_0}."] if counts_from_0(steps) else []
    return await creator.save_plan(plan, [*counted, *map(str, found)])


async def start(creator: Creator, plan_id: str, terms: Terms | None = None) -> RunRow:
    """Start a run of a plan's latest revision. If one is open already, whoever started it, that is the run."""
    return await _start(creator, plan_id, terms)


async def _start(creator: Creator, plan_id: str, terms: Terms | None, earlier: RunRow | None = None) -> RunRow:
    records = creator.records
    row = records.queries.plan(plan_id)
    folders = cast("list[str]", row.body["folders"])
    if folders != records.folders:
        raise ForethoughtError(
            f"Plan {plan_id} was made for other folders than this server may use. Run it where they are granted:"
            f" forethought {resuming(plan_id, folders)}"
        )
    plan = records.plan(plan_id, row.revision)
    options, taken = Options(goal=plan.goal), TakenUp()
    if earlier is not None:
        taken = taken_up(records, earlier, plan)
        options = PlanOptions(goal=plan.goal, takes_up=earlier.id, ask_about=taken.ask_about)
    try:
        return await creator.create(
            PLAN,
            options,
            terms=terms,
            plan_id=plan_id,
            revision=row.revision,
            steps=[step.id for step in plan.steps],
            facts=taken.facts,
        )
    except StaleError:
        begun = records.queries.runs(plan=plan_id, limit=1)
        if begun and begun[0].ended is None:
            return begun[0]
        raise  # it was changed meanwhile


async def start_goal(
    creator: Creator, goal: str, context: str, terms: Terms | None = None, caller: Caller | None = None
) -> RunRow:
    """Start to plan a goal and to run the plan, in one run. Its `plan` is the id that the plan will have."""
    options = await brief_options(creator, goal, context)
    return await creator.create(PLAN, options, terms=terms, plan_id=new_id("plan"), caller=caller)


async def started(creator: Creator, plan_id: str, terms: Terms, *, again: Again = "") -> RunRow:
    """The run to watch when a plan is to be run: the making of the plan where that is not over, the latest run of it
    where there is one that has not ended, or of which nothing is to be done `again`, else a new one."""
    latest = creator.records.queries.runs(plan=plan_id, limit=1)
    run = latest[0] if latest and not is_told_by_its_plan(latest[0]) else None
    if run is None:
        return await start(creator, plan_id, terms)
    if run.kind == PLANNING.name or run.ended is None or not again:
        return run
    if (
        again == "failed"
        and run.state == "succeeded"
        and creator.records.queries.plan(plan_id).revision == run.revision
    ):
        return run  # nothing has failed, and nothing has changed since
    terms = same_gates(terms, PLAN.read(run).terms) if again == "failed" else terms
    if not run.revision:  # there is no plan yet
        options = await brief_options(creator, run.goal, PLAN.read(run).context)
        return await creator.create(PLAN, options, terms=terms, plan_id=plan_id)
    return await _start(creator, plan_id, terms, run if again == "failed" else None)


def latest_run(queries: Queries, plan_id: str) -> RunRow | None:
    """The latest run of a plan, if it was run."""
    latest = queries.runs(plan=plan_id, limit=1)
    return latest[0] if latest and latest[0].kind == PLAN.name else None


def not_planned(queries: Queries, plan_id: str) -> RunRow | None:
    """The latest run that is to make this plan, where it has not."""
    latest = queries.runs(plan=plan_id, limit=1)
    return latest[0] if latest and not latest[0].revision and latest[0].state != "succeeded" else None


# Driving


async def _drive(work: Work[PlanOptions]) -> Ending:
    run, records, recorder, terms = work.run, work.records, work.recorder, work.options.terms
    plan = records.plan(run.plan, run.revision) if run.revision else None
    rows = [row for row in records.queries.steps(run.id) if not row.dropped]
    steps = StepRecorder(run, recorder)
    await _doubt_what_was_cut_off(work, steps, rows)
    finished = {row.id: outcome_of(row) for row in rows if row.state in SETTLED and not row.doubt}
    ended = await run_plan(
        plan,
        work.options.brief() if plan is None else await work.brief(plan.goal),
        ports=Ports(
            records.tools,
            journal=recorder,
            steps=steps,
            approver=recorder,
            budget=recorder.spender.budget,
            estimate=lambda plan: estimate(plan, records.tools, work.models),
            look=records.look,
            slot=recorder.slot,
        ),
        rules=Rules(
            terms.policy,
            terms.replan,
            terms.max_replans - run.replans,
            terms.max_parallel,
            terms.strategies,
            terms.max_items,
            frozenset(work.options.ask_about),
            terms.agent,
        ),
        resumed=Resumed(finished, _failed_calls(records, run), _approved(records, run)),
    )
    worth_keeping = not ended.unverified and _as_planned(records, run, ended)
    taught = _lessons(ended, _edited(records, run))
    return Ending(ended.answer, ended.problem, taught, _doubts(ended.unverified), worth_keeping)


def _doubts(unverified: Sequence[str]) -> Sequence[Fact]:
    """Kept with the end of the run: what nobody could judge."""
    body: Mapping[str, JSON] = {"unverified": list(unverified)}
    return [Fact("noted", {"id": new_id("note"), "key": _UNVERIFIED, "step": None, "body": body})] if unverified else ()


async def _doubt_what_was_cut_off(work: Work[PlanOptions], steps: StepRecorder, rows: Sequence[StepRow]) -> None:
    """A call that was in flight when its server died, and must not be made twice, is for a person to look at."""
    for row in rows:
        if row.state == "running" and row.arguments is not None and not row.returned and not row.doubt:
            step = step_of(work.records, work.run, row)
            if not work.records.tools.repeatable(step.tool):
                await steps.in_doubt(step, cast("Mapping[str, JSON]", row.arguments))
                await work.recorder.withdraw(f"asked/step/{row.id}/")


def step_of(records: Records, run: RunRow, row: StepRow) -> Step:
    """The step that a row is about."""
    return step_of_row(row) or records.plan(run.plan, records.queries.run(run.id).revision).by_id[row.id]


def _failed_calls(records: Records, run: RunRow) -> dict[str, str]:
    """What the calls that failed in this run said, by the digests of what was planned and what was called. Of a call
    that a person has changed only the latter: what was planned was never tried."""
    found: dict[str, str] = {}
    rows = {row.id: row for row in records.queries.steps(run.id) if row.state in ("failed", "rejected")}
    items = [step for row in rows.values() if (step := step_of_row(row))]
    edited = _edited(records, run) if rows else ()
    for revision in range(1, run.revision + 1) if rows else ():
        for step in (*records.plan(run.plan, revision).steps, *items):
            if step.id in rows:
                row = rows[step.id]
                called = cast("Mapping[str, JSON]", row.arguments or step.call)
                planned = () if step.id in edited else (digest(step.tool, step.call),)
                found |= dict.fromkeys((*planned, digest(step.tool, called)), row.error)
    return found


def _approved(records: Records, run: RunRow) -> Plan | None:
    """The latest revision of the plan that a person has approved in this run, as it was shown or as they wrote it, if
    they have rejected none since."""
    gates = [gate for gate in records.queries.messages(run.id, kind="gate") if gate.key.startswith("plan/")]
    decided = [(int(gate.key.split("/")[1]), decision_of(gate)) for gate in gates if gate.answer is not None]
    approved = [number + (decision.verb == "edit") for number, decision in decided if decision.approved]
    rejected = max((number for number, decision in decided if not decision.approved), default=0)
    latest = max((number for number in approved if rejected < number <= run.revision), default=None)
    return records.plan(run.plan, latest) if latest else None


def _edited(records: Records, run: RunRow) -> Collection[int]:
    """The steps whose latest call was changed by a person."""
    changed = {
        gate.step: decision.arguments
        for gate in records.queries.messages(run.id, kind="gate")
        if gate.answer is not None and (decision := decision_of(gate)).verb == "edit" and decision.arguments is not None
    }
    return {row.id for row in records.queries.steps(run.id) if row.id in changed and row.arguments == changed[row.id]}


def _lessons(ended: Ended, edited: Collection[int]) -> Sequence[str]:
    """What failed. A call that a person has changed tells nothing of the one that was planned."""
    steps = ended.plan.by_id
    failures = {step: outcome for step, outcome in sorted(ended.outcomes.items()) if outcome.state == "failed"}
    failed = [
        f"{steps[step].tool} {as_text(steps[step].arguments)[:150]} failed: {outcome.error[:200]}"
        for step, outcome in failures.items()
        if step in steps and step not in edited
    ]
    rejected = any(outcome.state == "rejected" for outcome in ended.outcomes.values())  # that has taught already
    return failed or ([] if rejected or failures.keys() & edited else [str(ended.problem)])


def _as_planned(records: Records, run: RunRow, ended: Ended) -> bool:
    """Whether the goal was reached by what a planner wrote at first: each step has succeeded in this very run, and
    nobody has changed a call. Who plans anew has read results: what stands in those must not become an example."""
    plan, states = ended.plan, {outcome.state for outcome in ended.outcomes.values()}
    if (
        ended.problem
        or ended.unverified
        or "takes_up" in run.options
        or not plan.planned
        or plan.revision > 1
        or states != {"succeeded"}
    ):
        return False
    gates = records.queries.messages(run.id, kind="gate")
    return not any(gate.answer is not None and decision_of(gate).verb == "edit" for gate in gates)


# What is shown


def _progress(queries: Queries, run: RunRow) -> Progress:
    counts = queries.progress(run.id)
    total = sum(counts.values())
    done = total - sum(counts.get(state, 0) for state in ("pending", "running", "waiting"))
    if not run.revision:
        return Progress(done, total, "making the plan")
    anew = any(each.state == "open" and each.key.startswith("replan/") for each in queries.messages(run.id, "question"))
    return Progress(done, total, f"{done} of {total} steps done{', planning the rest anew' if anew else ''}")


def _view(look: Look) -> View:
    run, records = look.run, look.records
    plan = records.plan(run.plan, run.revision) if run.revision else None
    rows = records.queries.steps(run.id) if look.steps != "brief" or not look.is_open else []
    view: View = {"plan_id": run.plan, **look.head(_states(look))}
    if plan and look.steps != "brief":
        by_id, spared = {row.id: row for row in rows}, records.queries.rules_used(run.id)
        view["steps"] = steps_of(plan, records.tools, look.steps, look.page, by_id, run.plan, spared)
    if earlier := run.options.get("takes_up"):
        view["takes_up"] = earlier
    view |= look.trouble()
    if plan and not look.is_open:
        results = results_of(plan, rows)
        view |= {"answer": run.answer, "results": results} if run.answer else {"answer": results}
    if left_out := _left_out(plan, rows):
        view["left_out"] = left_out
    if run.ended and (doubts := _unverified(records.queries, run)):
        view["unverified"] = doubts
    if plan and plan.revision > 1:
        view["revision"] = plan.revision
    if run.ended and (lines := rolled_back(records.queries, run.id)):
        view["rolled_back"] = lines
    return {**view, **look.tail()}


def _left_out(plan: Plan | None, rows: Sequence[StepRow]) -> list[JSON]:
    """The steps that are not done because a condition does not hold, each with the reason."""
    spared = [row for row in rows if plan and row.id in plan.by_id and outcome_of(row).left_out]
    more: list[JSON] = [f"and {len(spared) - _SPARED} more"] if len(spared) > _SPARED else []
    return [f"step {row.id} ({plan.by_id[row.id].tool}): {row.error}" for row in spared[:_SPARED] if plan] + more


def _unverified(queries: Queries, run: RunRow) -> list[JSON]:
    """What nobody could judge of a run that has ended."""
    kept = [note.body["unverified"] for note in queries.messages(run.id, "note") if note.key == _UNVERIFIED]
    return [doubt for doubts in kept if isinstance(doubts, list) for doubt in doubts]


def _states(look: Look) -> str:
    """How many steps have succeeded, and the states of those that have not."""
    if not look.run.revision:
        return making_of(look.waiting)
    counts = look.records.queries.progress(look.run.id)
    rest = [f"{count} {state}" for state, count in counts.items() if state not in ("succeeded", "pending")]
    return ", ".join([f"{counts.get('succeeded', 0)} of {sum(counts.values())} steps succeeded", *rest])


def _next(look: Look) -> str:
    plan_id = look.run.plan
    if look.run.state == "succeeded" and look.steps != "brief":
        return "get_plan() lists what else there is: nothing is left to do here"
    if look.run.state == "succeeded":
        return f'get_plan(plan_id="{plan_id}", view="full") shows every result'
    return (
        f'get_plan(plan_id="{plan_id}", view="full") shows what failed;'
        f' execute_plan(plan_id="{plan_id}", again="failed") goes on with that, and keeps what succeeded'
    )


PLAN = Kind(
    name="plan",
    options=PlanOptions,
    drive=_drive,
    progress=_progress,
    view=_view,
    next=_next,
    watch=lambda run: f'execute_plan(plan_id="{run.plan}")',
    pauses_at_once=False,
)
