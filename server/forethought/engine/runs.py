"""Runs belong to the server, not to the request that started them: start, answer, decide, stop.

Everything here goes through the store, so it works the same whether the run is driven by this process, by another,
or by nobody at the moment.
"""

__all__ = ["Runs"]

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from forethought.engine.records import resuming
from forethought.engine.supervisor import Driving
from forethought.gates.decisions import record_decision
from forethought.journal.codec import plan_body
from forethought.journal.database import StaleError, new_id
from forethought.journal.rows import Fact, MessageRow, RunRow
from forethought.terms import Terms
from forethought_patterns import Decision, parse_plan
from forethought_patterns.checks import read_checks
from forethought_patterns.worlds import Kind, Move, path_steps
from forethought_tools import JSON, AnswerError, Fault, ForethoughtError, schema_faults


class Runs(Driving):
    """The runs of one journal: start, answer, decide, stop."""

    # Starting

    async def save_plan(self, goal: str, context: str, steps: Sequence[JSON]) -> str:
        """Validate steps and keep them as a plan. Raises PlanError with every fault."""
        plan = parse_plan(goal, steps, self.tools, context=context)
        plan_id = new_id("plan")
        await self.store.write(plan_id, Fact("plan_saved", plan_body(plan_id, plan, folders=self.folders)))
        self.on_change(plan_id, None)
        return plan_id

    async def start_planning(self, goal: str, context: str) -> RunRow:
        """Start to make a plan. The run's `plan` is the id that the plan will have."""
        return await self._create("planning", new_id("plan"), self._told(goal, context), self._terms, 0, [])

    async def start(self, plan_id: str, terms: Terms | None = None) -> RunRow:
        """Start a run of a plan's latest revision. If one is open already, whoever started it, that is the run."""
        row = self.queries.plan(plan_id)
        if row.body["folders"] != self.folders:
            raise ForethoughtError(
                f"Plan {plan_id} was made for other folders than this server may use. Run it where they are granted:"
                f" forethought {resuming(plan_id, row.body)}"
            )
        plan = self.plan(plan_id, row.revision)
        steps = [step.id for step in plan.steps]
        try:
            return await self._create("plan", plan_id, {"goal": plan.goal}, terms or self._terms, row.revision, steps)
        except StaleError:
            return self.queries.runs(plan=plan_id, limit=1)[0]

    async def start_goal(self, goal: str, context: str, terms: Terms | None = None) -> RunRow:
        """Start to plan a goal and to run the plan, in one run. Its `plan` is the id that the plan will have."""
        return await self._create("plan", new_id("plan"), self._told(goal, context), terms or self._terms, 0, [])

    async def start_reflection(
        self,
        task: str,
        *,
        draft: str = "",
        criteria: Sequence[str] = (),
        checks: Sequence[JSON] = (),
        max_iterations: int = 3,
        threshold: float = 8.0,
        terms: Terms | None = None,
    ) -> RunRow:
        """Start to write a text, or to improve a draft. Raises FaultsError where a check cannot be used."""
        read_checks(checks, "check", self.tools)
        options: dict[str, JSON] = {
            "goal": task,
            "draft": draft,
            "criteria": list(criteria),
            "checks": list(checks),
            "max_iterations": max_iterations,
            "threshold": threshold,
        }
        return await self._create("reflection", "", options, terms or self._terms, 0, [])

    async def start_search(
        self, goal: str, kind: Kind, *, verifier: JSON = None, terms: Terms | None = None, **bounds: JSON
    ) -> RunRow:
        """Start to search a way to a goal. Raises FaultsError where the verifier cannot be used."""
        read_checks([] if verifier is None else [verifier], "verifier", self.tools)
        options: dict[str, JSON] = {"goal": goal, "world": kind, "verifier": verifier, "bounds": bounds}
        return await self._create("search", "", options, terms or self._terms, 0, [])

    async def start_rollback(self, run_id: str, step: int | None = None) -> RunRow:
        """Start to undo what a run, or one step of it, has done, unless that is under way, or done. A person is asked
        first. See `undoable`."""
        of = run_id if step is None else f"{run_id}/{step}"
        if asked_before := self.queries.rollback_of(of):
            return asked_before
        calls: list[JSON] = [effect.key for effect in await self.undoable(run_id, step)]
        lasting: list[JSON] = list(self.lasting(run_id, step))
        options: dict[str, JSON] = {
            "goal": f"undo {run_id}",
            "of": run_id,
            "step": step,
            "calls": calls,
            "lasting": lasting,
        }
        try:
            return await self._create("rollback", "", options, self._terms, 0, [], Fact("rollback_begun", {"of": of}))
        except StaleError:
            return await self.start_rollback(run_id, step)  # somebody asked for it at the same time

    def searched(self, run_id: str, goal: str, context: str) -> tuple[str, str, list[JSON] | None]:
        """What a plan of the way that a search has found is made of: goal, context, and the steps where tools were
        called. Without steps a planner has to make them.

        Raises:
            ForethoughtError: the run is no search, has not ended, or has found nothing.
        """
        run = self.queries.run(run_id)
        answer: Mapping[str, JSON] = run.answer if isinstance(run.answer, Mapping) else {}
        path = cast("Sequence[Mapping[str, Any]]", answer.get("path", ()))
        if run.kind != "search" or not path:
            raise ForethoughtError(f"{run_id} is no search that has found a way. lats_search makes one.")
        way = [Move("", each["action"], each["tool"], each["arguments"], each["result"]) for each in path]
        goal = goal or str(run.options["goal"])
        steps = path_steps(way, self.tools, self._terms.policy)
        told = "\n".join(f"{number}. {move}" for number, move in enumerate(way, 1))
        context = f"{context}\nA search has found this way to the goal; follow it:\n{told}".strip()[:100_000]
        return goal, context, steps or None

    def _told(self, goal: str, context: str) -> dict[str, JSON]:
        brief = self._brief(goal)
        files: dict[str, JSON] = dict(brief.files)
        told: dict[str, JSON] = {"goal": goal, "context": context, "files": files}
        return {**told, "new_files": list(brief.new_files), "lessons": list(brief.lessons)}

    async def _create(
        self,
        kind: str,
        plan_id: str,
        options: Mapping[str, JSON],
        terms: Terms,
        revision: int,
        steps: Sequence[int],
        *more: Fact,
    ) -> RunRow:
        run_id = new_id("run")
        body: dict[str, JSON] = {
            "plan": plan_id,
            "kind": kind,
            "options": {**options, "folders": self.folders, "terms": terms.body()},
            "budget": dict(terms.budget),
            "revision": revision,
            "owner": "" if self._offer else self._owner.id,
            "steps": steps,
        }
        async with self._claiming:
            run = await self._own(run_id, Fact("run_created", body), *more)
        if self._offer:
            await self._offer(run_id)
        return run

    # Answering

    async def answer(self, run_id: str, answers: Sequence[tuple[str, JSON]], *, by: str, channel: str) -> None:
        """Hand in answers to work orders: all of them, or none.

        Raises:
            AnswerError: every order that is unknown, not open, or whose answer does not fit its schema.
        """
        open_ids = self.queries.open_ids(run_id, "order")
        faults = [
            fault
            for name, answer in answers
            for fault in _order_faults(name, answer, self.queries.message(name) if name in open_ids else None, open_ids)
        ]
        if faults:
            raise AnswerError(faults)
        facts = [_answered(name, answer, by, channel) for name, answer in answers]
        if not facts:
            return
        try:
            await self.store.write(run_id, *facts)
        except StaleError:
            meanwhile = Fault("answers", "somebody answered meanwhile, or the run has ended", "Look at the run again")
            raise AnswerError([meanwhile]) from None
        await self._wake(run_id)

    async def decide(self, gate: MessageRow, decision: Decision) -> None:
        """Record a person's decision about an open gate.

        Raises:
            AnswerError: the gate does not offer this choice, or an edit is not valid; it stays open.
            StaleError: it was decided before, or its run has ended.
        """
        await record_decision(self.store, self.tools, gate, decision)
        await self._wake(gate.run)

    async def stop(self, run_id: str) -> None:
        """Ask a run to stop, whoever drives it."""
        await self.store.write(run_id, Fact("stop_asked"))
        await self._wake(run_id)


def _answered(order: str, answer: JSON, by: str, channel: str) -> Fact:
    body: dict[str, JSON] = {"id": order, "kind": "order", "answer": answer, "by": by, "channel": channel}
    return Fact("answered", {**body, "approval": False})


def _order_faults(name: str, answer: JSON, order: MessageRow | None, open_ids: Collection[str]) -> list[Fault]:
    if order is None:
        known = ", ".join(sorted(open_ids)[:20]) or "none"
        return [Fault(f"order {name}", "it is not open in this run", f"Open orders: {known}")]
    schema = cast("Mapping[str, JSON]", order.body["schema"])
    return [
        Fault(
            f"order {name}",
            fault.at("answer"),
            f"The answer must fit this JSON schema: {json.dumps(fault.schema)[:300]}",
        )
        for fault in schema_faults(schema, answer)[:20]
    ]
