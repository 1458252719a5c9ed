"""Like questions are asked together: one look, and all or some of them approved or rejected."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.client import Client
from mcp.types import ElicitResult
from tests.server.asking import delete, journal_of, make_plan, run_steps, states_of
from tests.server.pages import Opened, browser, decided, open_page, token_in
from tests.terminal import surroundings, typed

from forethought.gates.together import chosen, read_many, together
from forethought.journal.codec import gate_body
from forethought.journal.rows import MessageRow
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_patterns import Policy, Step
from forethought_patterns.gates import call_gate
from forethought_tools import JSON, AnswerError
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

TOOLS = builtin(Folders([]))
NEVER = Terms(replan="never")


def files(work: Path, count: int) -> list[dict[str, Any]]:
    """Steps that delete so many files."""
    for number in range(1, count + 1):
        (work / f"f{number}.txt").write_text("x", encoding="utf-8")
    return [delete(number, f"f{number}.txt") for number in range(1, count + 1)]


def left(work: Path) -> set[int]:
    return {int(found[1]) for file in work.iterdir() if (found := re.fullmatch(r"f(\d+).txt", file.name))}


async def _all_waiting(settings: Settings, steps: list[dict[str, Any]]) -> str:
    """A plan all of whose steps wait for a person, whom this client cannot ask."""
    async with Client(build_server(settings)) as client:
        plan_id = await make_plan(client, steps)
        with anyio.fail_after(60):
            await client.call_tool("execute_plan", {"plan_id": plan_id})
            while set((await states_of(client, plan_id)).values()) != {"waiting"}:
                await client.call_tool("execute_plan", {"plan_id": plan_id})
    return plan_id


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "gone", "waits"),
    [
        ({"decision": "approve"}, {1, 2, 3, 4, 5}, False),
        ({"decision": "approve", "which": "1,3-4", "others": "reject"}, {1, 3, 4}, False),
        ({"decision": "reject", "which": "2 5", "others": "approve"}, {1, 3, 4}, False),
        ({"decision": "reject", "which": "ALL", "reason": "no"}, set[int](), False),
        ({"decision": "approve", "which": "2"}, {2}, True),
        ({}, set[int](), True),
        ({"which": "all"}, set[int](), True),
        ({"others": "approve"}, set[int](), True),
        ({"decision": "approve", "which": "1-9"}, set[int](), True),
        ({"decision": "approve", "which": "yes"}, set[int](), True),
        ({"decision": "always"}, set[int](), True),
    ],
)
async def test_a_form_for_many_decides_what_it_names_and_nothing_else(
    make_settings: Callable[..., Settings], era: str, work: Path, said: dict[str, str], gone: set[int], waits: bool
) -> None:
    shown, once = once_with(said)
    settings = make_settings(terms=NEVER)
    plan_id = await _all_waiting(settings, files(work, 5))
    async with Client(build_server(settings), mode=era, elicitation_callback=once) as client:
        with anyio.fail_after(60):
            done = await client.call_tool("execute_plan", {"plan_id": plan_id})
            while {n for n, state in (await states_of(client, plan_id)).items() if state == "succeeded"} != gone:
                await anyio.lowlevel.checkpoint()  # what was approved is still under way
        states = await states_of(client, plan_id)
    assert left(work) == {1, 2, 3, 4, 5} - gone
    assert ("waiting" in states.values()) == waits
    text = shown[0].message
    assert all(f"{n}) Step {n} wants to call delete_file.\npath: f{n}.txt\n" in text for n in range(1, 6)), text
    assert set(shown[0].requested_schema["properties"]) == {"decision", "which", "others", "reason"}
    answered = journal_of(settings, dict(done.structured_content or {}), "answered")
    assert len({str(entry.body["id"]) for entry in answered}) == len(answered), "each decision is about its own gate"


def once_with(said: Mapping[str, str]) -> tuple[list[Any], Any]:
    """What a person is shown, and one who fills in the first form like this, and no other."""
    shown: list[Any] = []

    async def once(context: object, params: Any) -> ElicitResult:
        shown.append(params)
        return ElicitResult(action="accept" if len(shown) == 1 else "decline", content=dict(said))

    return shown, once


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("said", "rejected"),
    [
        ({"decision": "reject run", "reason": "all wrong"}, 25),
        ({"decision": "reject run", "which": "all", "others": "wait"}, 25),
        ({"decision": "reject run", "which": "1-3"}, 0),
        ({"decision": "reject run", "others": "approve"}, 0),
        ({"decision": "Reject Run"}, 0),
        ({"decision": "approve run"}, 0),
        ({"decision": "reject"}, 20),
    ],
)
async def test_a_form_that_shows_a_part_of_what_waits_can_reject_all_of_it_and_approve_none_of_the_rest(
    make_settings: Callable[..., Settings], era: str, work: Path, said: dict[str, str], rejected: int
) -> None:
    shown, once = once_with(said)
    settings = make_settings(terms=NEVER)
    plan_id = await _all_waiting(settings, files(work, 25))
    async with Client(build_server(settings), mode=era, elicitation_callback=once) as client:
        with anyio.fail_after(120):
            done = await client.call_tool("execute_plan", {"plan_id": plan_id})
            while list((await states_of(client, plan_id)).values()).count("rejected") != rejected:
                await anyio.lowlevel.checkpoint()  # the answer is still being recorded
    assert left(work) == {*range(1, 26)}
    decision = shown[0].requested_schema["properties"]["decision"]
    assert decision["enum"] == ["approve", "reject", "reject run"]
    assert "all 25 questions, also those that are not shown here" in decision["description"]
    answered = journal_of(settings, dict(done.structured_content or {}), "answered")
    assert [entry.body["approval"] for entry in answered] == [False] * rejected


@pytest.mark.anyio
async def test_a_form_that_shows_all_that_waits_offers_no_more_than_that(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    shown: list[Any] = []

    async def decline(context: object, params: Any) -> ElicitResult:
        shown.append(params)
        return ElicitResult(action="decline")

    settings = make_settings(terms=NEVER)
    plan_id = await _all_waiting(settings, files(work, 3))
    async with Client(build_server(settings), mode=era, elicitation_callback=decline) as client:
        await client.call_tool("execute_plan", {"plan_id": plan_id})
    assert shown[0].requested_schema["properties"]["decision"]["enum"] == ["approve", "reject"]


@given(st.text(max_size=12), st.integers(1, 30))
def test_any_text_names_some_of_those_that_were_shown_or_is_refused(text: str, count: int) -> None:
    with suppress(AnswerError):
        assert set(chosen(text, count)) <= set(range(1, count + 1))


@pytest.mark.parametrize(
    ("text", "meant"),
    [("all", [1, 2, 3, 4, 5]), (" ALL ", [1, 2, 3, 4, 5]), ("1, 3-5", [1, 3, 4, 5]), (",2,", [2]), ("2-2 2", [2])],
)
def test_those_that_are_named_are_meant(text: str, meant: list[int]) -> None:
    assert chosen(text, 5) == meant


@pytest.mark.parametrize("text", ["", ",", "1, 9", "1 x", "0", "0-2", "3-2", "2-9", "1,all", "-1", "1-"])
def test_who_names_one_that_is_not_there_has_named_none(text: str) -> None:
    with pytest.raises(AnswerError, match="which"):
        chosen(text, 5)


def test_a_reason_is_told_of_those_that_are_rejected_and_who_is_not_named_waits() -> None:
    no: dict[str, JSON] = {"decision": "reject", "reason": "no"}
    said: dict[str, JSON] = {"decision": "approve", "which": "1", "others": "reject", "reason": "no"}
    assert read_many(said, 3) == {1: {"decision": "approve"}, 2: no, 3: no}
    assert read_many({"decision": "reject", "which": "2"}, 3) == {2: {"decision": "reject"}}


def test_gates_of_one_tool_stand_together_as_far_as_there_is_room() -> None:
    gate = call_gate(Step(id=1, tool="delete_file", arguments={"path": "a"}), {"path": "a"}, TOOLS, Policy())
    assert gate
    size = len(gate.text({}))
    body = gate_body(gate)
    rows = [
        MessageRow(f"gate_{n}", "run_1", "k", "gate", 1, body, "open", None, 0, "", "", 0.0, None, 1)
        for n in range(102)
    ]

    def sizes(count: int, **bounds: int) -> list[int]:
        return [len(group) for group in together(rows[:count], **bounds)]

    assert sizes(102) == [50, 50, 2]
    assert sizes(5, most=2) == [2, 2, 1]
    assert sizes(5, room=2 * size) == [2, 2, 1]
    assert sizes(5, room=2 * size - 1) == [1, 1, 1, 1, 1]


@given(st.dictionaries(st.sampled_from(["decision", "which", "others", "reason"]), st.text(max_size=6)))
def test_no_form_decides_what_was_not_shown_or_without_a_decision(content: Mapping[str, str]) -> None:
    try:
        filled = read_many(content, 5)
    except AnswerError:
        return
    assert set(filled) <= {1, 2, 3, 4, 5}
    assert content["decision"] in ("approve", "reject")


@pytest.mark.anyio
async def test_the_terminal_shows_them_together_and_takes_all_or_some(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(terms=NEVER)
    other = {"id": 6, "tool": "run_command", "arguments": {"command": "x"}}
    async with Client(build_server(settings)) as client:
        run = await run_steps(client, [*files(work, 5), other])
    environment = surroundings(settings.home, FORETHOUGHT_FOLDERS=str(work))
    environment |= {"FORETHOUGHT_STORE": settings.store} if settings.store else {}
    answers = [
        ("to decide later", "approve some"),
        ("names none", "approve 1,3-9"),
        ("goes beyond", "approve run"),
        ("to decide later", "approve 1,3"),
        ("3 of 3", "reject 2"),
        ("Why", "it is needed"),
        ("2 of 2", "reject run"),
        ("Why", ""),
    ]
    status, screen = typed(environment, "decide", run["run_id"], answers=answers)
    assert "approve: 2 recorded" in screen
    assert "reject: 3 recorded" in screen, "the command waited in the same run"
    assert status == 0
    said = {str(entry.body["answer"]): entry.body["channel"] for entry in journal_of(settings, run, "answered")}
    assert sum("'approve'" in answer for answer in said) >= 1
    assert set(said.values()) == {"terminal"}
    assert len(journal_of(settings, run, "answered")) == 6


async def _asked_about(client: Client, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """A run all of whose steps wait for a person."""
    run = await run_steps(client, steps)
    with anyio.fail_after(120):
        while set((await states_of(client, run["plan_id"])).values()) != {"waiting"}:
            await anyio.lowlevel.checkpoint()
    return run


@pytest.mark.anyio
async def test_of_several_runs_the_one_is_named_of_which_all_is_rejected(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(terms=NEVER)
    async with Client(build_server(settings)) as client:
        one, two = [await _asked_about(client, files(work, 2)) for _ in range(2)]
    environment = surroundings(settings.home, FORETHOUGHT_FOLDERS=str(work))
    environment |= {"FORETHOUGHT_STORE": settings.store} if settings.store else {}
    answers = [
        ("They are of 2 runs", "reject run"),
        ("these are of several runs", f"reject {two['run_id']}"),
        ("Why", ""),
        ("2 of 2", ""),
    ]
    status, screen = typed(environment, "decide", answers=answers)
    assert "reject: 2 recorded" in screen
    assert status == 3, "the other run waits"
    assert len(journal_of(settings, two, "answered")) == 2
    assert journal_of(settings, one, "answered") == []


async def _send(opened: Opened, page: str, **given: str) -> Any:
    (listed,) = re.findall(r'name="listed" value="([^"]+)"', page)
    form = {"token": token_in(page), "listed": listed, "code": opened.codes[-1], **given}
    return await opened.http.post(f"{opened.url}many", data=form)


@pytest.mark.anyio
async def test_the_page_takes_all_that_are_ticked_with_one_code(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(terms=NEVER), "echo 1", "echo 2", "echo 3", "echo 4") as opened:
        one, two, three, four = opened.gates()
        page = (await opened.http.get(opened.url)).text
        assert "command: echo 3" in page
        assert " checked>" not in page
        assert "<b>approve</b> those that are ticked may go ahead, this once" in page
        assert (await _send(opened, page, decision="approve")).status_code == 422, "nothing is ticked"
        assert (await _send(opened, page, **{one.id: "yes"})).status_code == 422, "nothing is chosen"
        wrong = await _send(opened, page, decision="approve", code="WRONG", **{one.id: "yes"})
        assert wrong.status_code == 403
        assert "This is not the code." in wrong.text
        assert wrong.text.count(" checked>") == 1, "what was ticked still is"
        all_of_it = await _send(opened, page, decision=f"approve {opened.run_id}")
        assert all_of_it.status_code == 422, "nobody can approve what they have not ticked"
        forged = await _send(opened, page, decision="approve", listed=one.id, **{one.id: "yes"})
        assert forged.status_code == 403, "what was not shown is not covered"
        assert len(opened.gates()) == 4
        code = opened.codes[-1]
        chosen = {one.id: "yes", three.id: "yes"}
        sent = await _send(opened, page, decision="approve", reason="only told who rejects", **chosen)
        assert "approve: 2 recorded" in sent.text
        assert "A person must decide" in sent.text
        assert "The terminal shows a new code." in sent.text
        assert [gate.id for gate in opened.gates()] == [two.id, four.id]
        again = await _send(opened, page, decision="approve", code=code, **{two.id: "yes"})
        assert again.status_code == 403, "the code was good for one decision"
        await opened.fresh(2)
        sent = await _send(opened, page, decision=f"reject {opened.run_id}", reason="not on a Sunday")
        assert "reject: 2 recorded" in sent.text
        assert [decided(opened, gate)["reason"] for gate in (one, two)] == ["", "not on a Sunday"]
        assert not opened.gates()
        assert "Nothing waits any more" in sent.text
        assert "The terminal shows a new code." not in sent.text


@pytest.mark.anyio
async def test_of_many_nothing_is_decided_by_strangers_other_sites_or_a_form_of_long_ago(
    make_settings: Callable[..., Settings],
) -> None:
    async with open_page(make_settings(terms=NEVER), "echo 1", "echo 2", seconds=60) as opened:
        one, _ = opened.gates()
        page = (await opened.http.get(opened.url)).text
        (listed,) = re.findall(r'name="listed" value="([^"]+)"', page)
        form = {
            "token": token_in(page),
            "listed": listed,
            "code": opened.codes[-1],
            "decision": "approve",
            one.id: "yes",
        }
        async with browser() as stranger:
            unknown = await stranger.post(f"{opened.url}many", data=form)
        foreign = await opened.http.post(f"{opened.url}many", data=form, headers={"origin": "http://evil.example"})
        assert [unknown.status_code, foreign.status_code] == [403, 403]
        assert "echo 1" not in unknown.text
        opened.now[0] += 61
        late = await opened.http.post(f"{opened.url}many", data=form)
        assert late.status_code == 409
        assert "too long" in late.text
        assert len(opened.gates()) == 2
        again = await _send(opened, late.text, decision="approve", **{one.id: "yes"})
        assert "approve: 1 recorded" in again.text, "the list was shown anew, and that is a form of now"


@pytest.mark.anyio
async def test_the_page_puts_boxes_only_before_questions_that_are_alike(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(terms=NEVER), "echo 1") as opened:
        alone = (await opened.http.get(opened.url)).text
        assert "run_command" in alone
        assert '<input type="checkbox"' not in alone
        assert 'role="alert"' not in alone
        assert 'role="status"' not in alone
