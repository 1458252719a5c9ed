"""Where verdicts come late, harmless steps start on results that nobody has judged, and nothing wrong comes of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forethought_patterns import Plan, Slot, Step, Watcher, execute
from forethought_patterns.plain import plainly_judged
from forethought_patterns.problem import Problem
from forethought_tools import JSON, Seen

pytestmark = pytest.mark.anyio

Needs = Sequence[Sequence[int]]


@dataclass
class _Late(Watcher):
    """Judges when a verdict is wanted, or nothing else can go on. The first result of each wrong step is wrong."""

    wrong: frozenset[int]
    risky: frozenset[int]
    refused: Counter[int] = field(default_factory=Counter[int])
    calls: Counter[int] = field(default_factory=Counter[int])
    due: list[anyio.Event] = field(default_factory=list[anyio.Event])
    waking: int = 0

    def patient(self) -> bool:
        return True

    def trusts(self, step: Step, arguments: Mapping[str, JSON]) -> bool:
        return step.id not in self.risky

    def wanted(self) -> None:
        due, self.due = self.due, []
        self.waking += len(due)
        for event in due:
            event.set()

    def stalled(self) -> None:
        assert self.due or self.waking, "nothing goes on, and nobody is asked"
        self.wanted()

    async def judge(self, step: Step, arguments: Mapping[str, JSON], value: JSON, slot: Slot) -> Problem | None:
        self.due.append(due := anyio.Event())
        async with slot.waiting():
            try:
                await due.wait()
            finally:
                if due.is_set():
                    self.waking -= 1
                else:
                    self.due.remove(due)
        await anyio.lowlevel.checkpoint()
        if step.id in self.wrong and not self.refused[step.id]:
            return Problem("wrong")
        return None

    async def again(self, step: Step, arguments: Mapping[str, JSON], problem: str) -> bool:
        self.refused[step.id] += 1
        return True

    async def call(self, step: Step, arguments: Mapping[str, JSON], slot: Slot) -> JSON:
        self.calls[step.id] += 1
        for _ in range(step.id % 4):
            await anyio.lowlevel.checkpoint()
        return self.value(step.id, self.refused[step.id], dict(arguments))

    def value(self, step: int, refused: int, arguments: JSON) -> JSON:
        return {"step": step, "refused": refused, "of": arguments}


def _plan(needs: Needs) -> Plan:
    return Plan(
        "g",
        tuple(Step(id=i, tool="t", arguments={f"r{n}": f"{{{{{n}}}}}" for n in n_s}) for i, n_s in enumerate(needs, 1)),
    )


@st.composite
def _graphs(draw: st.DrawFn) -> Needs:
    size = draw(st.integers(1, 9))
    return [sorted(draw(st.sets(st.integers(1, i - 1), max_size=3))) if i > 1 else [] for i in range(1, size + 1)]


@settings(max_examples=150, deadline=None)
@given(
    needs=_graphs(),
    wrong=st.frozensets(st.integers(1, 9), max_size=3),
    risky=st.frozensets(st.integers(1, 9), max_size=3),
    at_once=st.integers(1, 4),
)
async def test_what_comes_out_is_what_would_have_come_out_had_each_verdict_been_waited_for(
    needs: Needs, wrong: frozenset[int], risky: frozenset[int], at_once: int
) -> None:
    watcher = _Late(wrong, risky)
    with anyio.fail_after(60):
        outcomes = await execute(_plan(needs), watcher.call, max_parallel=at_once, watcher=watcher)
    expected: dict[int, JSON] = {}
    for step, needed in enumerate(needs, 1):
        given_values: dict[str, JSON] = {f"r{n}": expected[n] for n in needed}
        expected[step] = watcher.value(step, int(step in wrong), given_values)
    assert {step: outcome.value for step, outcome in outcomes.items()} == expected
    for step in range(1, len(needs) + 1):
        if step in risky:
            assert watcher.calls[step] == 1 + (step in wrong), "what may do harm is called on what was judged, and once"


async def test_what_rests_on_a_result_that_stays_wrong_is_skipped() -> None:
    class Stubborn(_Late):
        async def again(self, step: Step, arguments: Mapping[str, JSON], problem: str) -> bool:
            return False

    watcher = Stubborn(frozenset({1}), frozenset())
    with anyio.fail_after(60):
        outcomes = await execute(_plan([[], [1], [2], []]), watcher.call, watcher=watcher)
    assert {step: outcome.state for step, outcome in sorted(outcomes.items())} == {
        1: "failed",
        2: "skipped",
        3: "skipped",
        4: "succeeded",
    }


@pytest.mark.parametrize(
    ("tool", "expected", "arguments", "verdict"),
    [
        ("write_file", "there.md is written", {"path": "there.md"}, "good"),
        ("write_file", "The file exists.", {"path": "out/there.md"}, "good"),
        ("write_table", 'Saved as "there.md"', {"path": "./there.md"}, "good"),
        ("move_file", "a.txt has been moved to there.md", {"source": "a.txt", "destination": "there.md"}, "good"),
        ("make_folder", "the folder is there", {"path": "there"}, "good"),
        ("write_file", "gone.md is written", {"path": "gone.md"}, "bad"),
        ("delete_file", "gone.md no longer exists", {"path": "gone.md"}, "good"),
        ("delete_file", "there.md is deleted", {"path": "there.md"}, "bad"),
        ("delete_file", "there.md exists", {"path": "there.md"}, "unknown"),
        ("delete_file", "gone.md is not deleted", {"path": "gone.md"}, "unknown"),
        ("write_file", "there.md is not written", {"path": "there.md"}, "unknown"),
        ("write_file", "there.md is written with three sections", {"path": "there.md"}, "unknown"),
        ("write_file", "a table", {"path": "there.md"}, "unknown"),
        ("write_file", "Die Datei ist da", {"path": "there.md"}, "unknown"),
        ("write_file", "written " * 100, {"path": "there.md"}, "unknown"),
        ("run_command", "the file is written", {"command": "touch there.md"}, "unknown"),
    ],
)
async def test_the_engine_judges_only_what_it_can_see(
    tool: str, expected: str, arguments: dict[str, Any], verdict: str
) -> None:
    async def look(path: str) -> Seen | None:
        return Seen() if "there" in path else None

    step = Step(id=1, tool=tool, arguments=arguments, expected_output=expected)
    found = await plainly_judged(step, arguments, look)
    assert ("unknown" if found is None else "bad" if found[0] else "good") == verdict
    assert await plainly_judged(step, arguments, None) is None
