"""The journal in memory keeps what any journal keeps: what is known is not asked or done again."""

import pytest

from forethought.models.scripted import ScriptedModel
from forethought_patterns import Decision, Gate, InMemoryJournal, Slot
from forethought_tools import JSON, Claim, Kept, Question, Registry, Role, ToolError

pytestmark = pytest.mark.anyio

ASKED = Question(Role.CRITIC, "Judge it.", "it", {"type": "string"})
PLACE = Registry().place_for(Claim())


async def test_a_question_is_asked_once_and_so_is_a_verdict() -> None:
    journal = InMemoryJournal(ScriptedModel({"critic": ["fine"], "verdict": [0.7]}))
    for _ in range(2):
        assert await journal.ask("a", ASKED, slot=Slot()) == "fine"
        assert await journal.judge("b", ASKED, slot=Slot()) == 0.7
    assert len(journal.questions) == 2


async def test_a_call_is_made_once_whether_it_worked_or_failed() -> None:
    journal, made = InMemoryJournal(ScriptedModel({})), list[str]()

    async def works() -> JSON:
        made.append("works")
        return 5

    async def fails() -> JSON:
        made.append("fails")
        raise ToolError("it is broken")

    for _ in range(2):
        assert await journal.once("a", {}, PLACE, works, slot=Slot()) == 5
        with pytest.raises(ToolError, match="it is broken"):
            await journal.once("b", {}, PLACE, fails, slot=Slot())
    assert made == ["works", "fails"]


async def test_the_first_that_is_kept_or_noted_stays() -> None:
    journal = InMemoryJournal(ScriptedModel({}))

    async def first() -> Kept:
        return {"content": "old"}

    async def second() -> Kept:
        return {"content": "new"}

    assert await journal.keep("a", first, slot=Slot()) is None
    assert await journal.keep("a", second, slot=Slot()) == {"content": "old"}
    await journal.note("b", {"score": 1})
    await journal.note("b", {"score": 2})
    assert journal.notes == {"b": {"score": 1}}


async def test_without_anybody_to_ask_nothing_is_approved() -> None:
    gate = Gate("call", "s", {}, "r", "d", ("approve", "reject"))
    assert not (await InMemoryJournal(ScriptedModel({})).decide(gate, key="a", slot=Slot())).approved
    allowed = InMemoryJournal(ScriptedModel({}), lambda _: Decision("approve"))
    assert (await allowed.decide(gate, key="a", slot=Slot())).approved
