"""A loop is the same as its steps written out by hand, also where the plan is made anew and its process is killed."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patterns.executing import VALUE, draft, unlimited

from forethought.models.scripted import ScriptedModel
from forethought_patterns import Brief, Ended, InMemoryJournal, Ports, Replan, Resumed, Rules, parse_plan, run_plan
from forethought_patterns.gates import digest
from forethought_tools import JSON, Answerer, Question, Registry, Risk, Tool, ToolError

_REPLANS: Mapping[Replan, int] = {"on_failure": 4, "every_step": 40}  # a loop is one step, and written out it is many
_DONE = re.compile(r"^([0-9]+)\. each .* -> ([\[{].*)$", re.MULTILINE)

Draft = dict[str, Any]


class Kill(BaseException):
    """The process ends here, in the middle of calls."""


@dataclass
class World:
    """Names that have to be worked on; the call for one fails until it was mended often enough. What is not done is
    planned anew, as a loop or written out, and the joiner misses what a condition has left out."""

    faults: Sequence[int]
    """How often each name has to be mended."""
    left_out: int
    """The place of the name that a condition leaves out at first, if there is one there."""
    looping: bool
    changes: bool = False
    """Whether the planner writes the rest anew when it looks at it first, though nothing is wrong."""
    kills: list[int] = field(default_factory=list[int])
    """After how many calls the process is killed, each counted from the start."""
    calls: Counter[str] = field(default_factory=Counter[str])
    failed: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict[int, set[int]](set))
    reasons: list[str] = field(default_factory=list[str])

    def named(self, at: int) -> dict[str, JSON]:
        """A name as it is worked on next."""
        return {"name": at, "left": self.faults[at] - len(self.failed[at])}

    @property
    def places(self) -> list[int]:
        return list(range(len(self.faults)))

    @property
    def misses(self) -> bool:
        return self.left_out in self.places and not any(f'"name":{self.left_out},' in call for call in self.calls)

    async def each(self, arguments: Mapping[str, JSON], _: Answerer) -> JSON:
        value = arguments["value"]
        assert isinstance(value, dict)
        at, left = value["name"], value["left"]
        assert isinstance(at, int)
        assert isinstance(left, int)
        self.calls[json.dumps(value, separators=(",", ":"))] += 1
        for _turn in range(at % 3):  # others overtake it
            await anyio.lowlevel.checkpoint()
        if self.kills and self.calls.total() >= self.kills[0]:
            self.kills.pop(0)
            raise Kill
        if left > 0:
            self.failed[at].add(left)
            raise ToolError("it has to be mended")
        return value

    def first(self) -> list[Draft]:
        listed = {"id": 1, "tool": "echo", "arguments": {"value": [self.named(at) for at in self.places]}}
        if self.looping:
            when = f"{{{{index}}}} != {self.left_out}"
            loop = {"id": 2, "tool": "each", "for_each": "{{1}}", "when": when, "arguments": {"value": "{{item}}"}}
            return [listed, loop, {"id": 3, "tool": "echo", "arguments": {"value": "{{2}}"}}]
        never = {"when": "len({{1}}) < 0"}
        hand = [
            {
                "id": 10 + at,
                "tool": "each",
                "arguments": {"value": f"{{{{1.{at}}}}}"},
                **(never if at == self.left_out else {}),
            }
            for at in self.places
        ]
        gathered = [f"{{{{{10 + at}}}}}" for at in self.places if at != self.left_out]
        return [listed, *hand, {"id": 3, "tool": "echo", "arguments": {"value": gathered}, "depends_on": [1]}]

    def say(self, question: Question) -> JSON:
        if question.role == "joiner":
            return {"done": not self.misses, "answer": "all is done", "missing": "one name" if self.misses else ""}
        reason = question.context.partition("<why>\n")[2].partition("\n</why>")[0]
        if reason.startswith("A step is done"):
            if not self.changes:
                return {"reasoning": "", "keep": True, "steps": []}
            self.changes = False
        self.reasons.append(reason)
        skipped = -1 if "missing" in reason else self.left_out
        return self.rest(question.context, 1000 * len(self.reasons), skipped if self.misses else -1)

    def rest(self, context: str, first: int, skipped: int) -> JSON:
        """A draft of what is not done, and of all results in their order."""
        found: dict[int, str] = {}
        for number, result in _DONE.findall(context.partition("<done>\n")[2].partition("\n</done>")[0]):
            value = cast("list[dict[str, int]] | dict[str, int]", json.loads(result))
            if isinstance(value, list):
                found |= {each["name"]: f"{{{{{number}.{k}}}}}" for k, each in enumerate(value)}
            elif "name" in value:  # else it was left out
                found[value["name"]] = f"{{{{{number}}}}}"
        missing = [at for at in self.places if at not in found and at != skipped]
        steps: list[Draft]
        if self.looping:
            listed = json.dumps([self.named(at) for at in missing])
            steps = [{"id": first, "tool": "each", "for_each": listed, "arguments": {"value": "{{item}}"}}]
            found |= {at: f"{{{{{first}.{k}}}}}" for k, at in enumerate(missing)}
        else:
            steps = [
                {"id": first + at, "tool": "each", "arguments": {"value": json.dumps(self.named(at))}} for at in missing
            ]
            found |= {at: f"{{{{{first + at}}}}}" for at in missing}
        gathered = json.dumps([found[at] for at in self.places if at in found])
        last = {"id": first + 500, "tool": "echo", "arguments": {"value": gathered}, "depends_on": [1]}
        return draft(*(steps if missing else []), last)


async def _echo(arguments: Mapping[str, JSON], _: Answerer) -> JSON:
    return arguments["value"]


def _failed_calls(journal: InMemoryJournal) -> dict[str, str]:
    said = dict(journal.calls)  # of several attempts the last
    return {
        digest("each", said[step]): outcome.error
        for step, outcome in journal.outcomes.items()
        if step in said and outcome.state == "failed"
    }


async def _ended(world: World, replan: Replan, parallel: int) -> tuple[Ended, InMemoryJournal]:
    """Run a world's plan to its end, however often its process is killed."""
    tools = Registry(
        [
            Tool("echo", "Gives back its value.", VALUE, _echo, Risk.LOW, repeatable=True, reads_only=True),
            Tool("each", "Works on a name.", VALUE, world.each, Risk.MEDIUM, repeatable=True),
        ]
    )
    journal = InMemoryJournal(ScriptedModel(world.say))
    await journal.revised(parse_plan("the goal", world.first(), tools, planned=True), "")
    ports = Ports(tools, journal, journal, journal, unlimited())
    with anyio.fail_after(120):
        while True:
            plan = journal.plans[-1]
            known = {*plan.by_id, *(item.step.id for loop in plan.steps for item in journal.items(loop))}
            ended = {step: outcome for step, outcome in journal.outcomes.items() if step in known}
            rules = Rules(replan=replan, max_replans=_REPLANS[replan] + 1 - len(journal.plans), max_parallel=parallel)
            try:
                resumed = Resumed(ended, _failed_calls(journal))
                return await run_plan(plan, Brief("the goal"), ports=ports, rules=rules, resumed=resumed), journal
            except BaseExceptionGroup as group:
                if not group.split(Kill)[0]:
                    raise


FAULTS = st.lists(st.sampled_from([0, 0, 1, 2, 5]), max_size=5)
WORLDS = st.builds(partial, st.just(World), faults=FAULTS, left_out=st.integers(-1, 4), changes=st.booleans())
MODES = st.sampled_from(["on_failure", "every_step"])


@given(world=WORLDS, replan=MODES, parallel=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_a_loop_that_is_planned_anew_is_the_same_as_its_steps_written_out(
    world: partial[World], replan: Replan, parallel: int
) -> None:
    loop, hand = world(looping=True), world(looping=False)
    looped, kept = anyio.run(_ended, loop, replan, parallel)
    written, same = anyio.run(_ended, hand, replan, parallel)
    assert loop.calls == hand.calls
    assert bool(looped.problem) == bool(written.problem)
    assert replan == "every_step" or len(kept.plans) == len(same.plans)
    if not looped.problem:
        assert _brought(looped) == _brought(written)


@given(world=WORLDS, replan=MODES, parallel=st.integers(1, 4), kills=st.lists(st.integers(1, 15), max_size=3))
@settings(max_examples=40, deadline=None)
def test_a_loop_that_is_killed_and_planned_anew_repeats_only_what_was_in_flight(
    world: partial[World], replan: Replan, parallel: int, kills: list[int]
) -> None:
    killed, whole = world(looping=True, kills=sorted(kills)), world(looping=False)
    looped, _ = anyio.run(_ended, killed, replan, parallel)
    written, _ = anyio.run(_ended, whole, replan, parallel)
    assert killed.calls >= whole.calls, "none is lost"
    assert killed.calls.keys() == whole.calls.keys()
    assert killed.calls.total() <= whole.calls.total() + (len(kills) - len(killed.kills)) * parallel
    assert bool(looped.problem) == bool(written.problem)
    if not looped.problem:
        assert _brought(looped) == _brought(written)


def _brought(ended: Ended) -> JSON:
    """All results in their order, as the last step of a plan has them."""
    return ended.outcomes[ended.plan.steps[-1].id].value
