"""Steps that the calling agent does: handed out once, until somebody reports or the time is over; judged here."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.endpoints.fake import Endpoint, said
from tests.server.asking import approve, in_full, journal_of, make_plan, states_of, text, view

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import Role

pytestmark = pytest.mark.anyio

# One process has one server that shares a PostgreSQL: `test_agents_at_once` has several processes.
ON_SQLITE = pytest.mark.parametrize("new_store", ["sqlite"], indirect=True)


def work(number: int, task: str = "look around", **more: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"task": task}
    for name in ("material", "tools", "writes"):
        if name in more:
            arguments[name] = more.pop(name)
    return {"id": number, "tool": "delegate", "arguments": arguments, **more}


async def report(
    client: Client, run: Mapping[str, Any], *answers: tuple[Mapping[str, Any], object], **more: Any
) -> Any:
    said = [{"order": order["order"], "answer": answer} for order, answer in answers]
    told = await client.call_tool("report", {"run_id": run["run_id"], "answers": said, **more})
    while (told.structured_content or {"status": ""})["status"] == "running":  # busy machines are silent for long
        told = await client.call_tool("report", {"run_id": run["run_id"], "answers": [], **more})
    return told


async def start(client: Client, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A run once it waits for somebody, or has ended."""
    plan = await make_plan(client, list(steps))
    told = view(await client.call_tool("execute_plan", {"plan_id": plan, **more}))
    take = {"take": more["take"]} if "take" in more else {}
    while told["status"] == "running":  # busy machines are silent for long
        told = view(await client.call_tool("report", {"run_id": told["run_id"], "answers": [], **take}))
    return told


async def test_a_delegated_step_takes_the_round_trips_of_an_order_and_its_result_goes_on(
    make_settings: Callable[..., Settings], era: str
) -> None:
    steps = [
        {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},
        work(2, "find out who wrote it", material="{{1}}", expected_output="a name"),
        {"id": 3, "tool": "write_file", "arguments": {"path": "who.txt", "content": "{{2}}"}},
    ]
    settings = make_settings()
    async with Client(build_server(settings), mode=era) as client:
        waiting = await start(client, *steps)
        (order,) = waiting["waiting_on"]
        assert order["role"] == "agent"
        assert "alpha" in order["context"]
        assert "find out who wrote it" in order["context"]
        assert "Expected: a name" in order["context"], "it is told what is judged"
        done = view(await report(client, waiting, (order, "Ada")))
    assert done["status"] == "succeeded"
    assert (settings.folders[0] / "who.txt").read_text(encoding="utf-8") == "Ada"


async def test_all_work_that_is_ready_goes_out_together_and_what_is_common_is_told_once(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings())) as client:
        waiting = await start(client, *(work(number, f"task {number}") for number in range(1, 6)), max_parallel=1)
        orders = waiting["waiting_on"]
        assert len(orders) == 5
        assert [order["instructions"] == f"Those of {orders[0]['order']}." for order in orders[1:]] == [True] * 4
        done = view(await report(client, waiting, *((order, "done") for order in orders)))
    assert done["status"] == "succeeded"


@ON_SQLITE
async def test_two_clients_never_have_the_same_work(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    async with Client(build_server(settings)) as one, Client(build_server(settings)) as other:
        first = await start(one, *(work(number) for number in (1, 2, 3)), take=2)
        mine = [order for order in first["waiting_on"] if "instructions" in order]
        assert len(mine) == 2
        second = view(await other.call_tool("execute_plan", {"plan_id": first["plan_id"]}))
        theirs = [order for order in second["waiting_on"] if "instructions" in order]
        assert len(theirs) == 1
        assert sorted("taken_by" in order for order in second["waiting_on"]) == [False, True, True]
        assert "task" not in json.dumps([order for order in second["waiting_on"] if "taken_by" in order])
        stolen = await report(other, first, (mine[0], "I did that"))
        assert not stolen.is_error, "a name with its number is as good in another process: sessions come and go"
        refused = await report(other, first, ({"order": mine[1]["order"].split(".")[0]}, "and that"))
        assert refused.is_error
        assert "has it, until" in text(refused)
        await report(one, first, (mine[1], "b"))
        done = view(await report(other, second, (theirs[0], "c")))
        assert done["status"] == "succeeded"


@ON_SQLITE
async def test_what_nobody_has_reported_in_time_is_offered_again_and_a_late_report_is_refused_once_it_is_taken(
    make_settings: Callable[..., Settings],
) -> None:
    soon_over, patient = build_server(make_settings(lease_seconds=0.5)), build_server(make_settings())
    async with Client(soon_over) as one, Client(patient) as other:
        first = await start(one, work(1), work(2))
        a, b = first["waiting_on"]
        with anyio.fail_after(60):
            second = view(await other.call_tool("execute_plan", {"plan_id": first["plan_id"], "take": 1}))
        (again,) = [order for order in second["waiting_on"] if "instructions" in order]
        assert again["order"].endswith(".2")
        late, kept = (a, b) if again["order"].startswith(a["order"].split(".")[0]) else (b, a)
        refused = await report(one, first, (late, "late"))
        assert refused.is_error
        assert "since your lease ran out" in text(refused)
        assert not (await report(one, first, (kept, "late, and nobody has it"))).is_error
        done = view(await report(other, first, (again, "done")))
    assert done["status"] == "succeeded"


async def test_an_agent_that_fails_is_asked_once_more_with_the_reason_and_then_the_step_has_failed(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings())) as client:
        waiting = await start(client, work(1), replan="on_failure", max_replans=0)
        again = view(await report(client, waiting, (waiting["waiting_on"][0], {"failed": "there is no network"})))
        (order,) = again["waiting_on"]
        assert "there is no network" in order["context"]
        ended = view(await report(client, again, (order, {"failed": "still none"})))
    assert ended["status"] == "failed"
    assert "still none" in ended["error"]


async def test_a_note_keeps_the_work_and_reaches_planner_and_joiner(make_settings: Callable[..., Settings]) -> None:
    steps = [work(1, "look", depends_on=[], expected_output="")]
    async with Client(build_server(make_settings())) as client:
        planning = view(await client.call_tool("execute_plan", {"goal": "look around"}))
        draft: dict[str, Any] = {"reasoning": "", "steps": steps}
        waiting = view(await report(client, planning, (planning["waiting_on"][0], draft)))
        (order,) = waiting["waiting_on"]
        noted = view(await report(client, waiting, (order, {"note": "there is a second house"})))
        assert noted["waiting_on"][0]["order"] == order["order"]
        joining = view(await report(client, noted, (order, {"result": "one house", "note": "and a garden"})))
        (joiner,) = joining["waiting_on"]
        assert joiner["role"] == "joiner"
        assert "there is a second house" in joiner["context"]
        assert "and a garden" in joiner["context"]


async def test_the_check_of_a_step_decides_whatever_its_agent_says(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        waiting = await start(client, work(1, check={"matches": "^[0-9]+$"}), max_replans=0)
        (order,) = waiting["waiting_on"]
        assert "^[0-9]+$" in order["context"], "it knows what is checked"
        again = view(await report(client, waiting, (order, "I am certain that this is right")))
        done = view(await report(client, again, (again["waiting_on"][0], "42")))
        assert done["status"] == "succeeded"
        assert await states_of(client, done["plan_id"]) == {1: "succeeded"}


async def test_every_answer_reminds_of_work_that_was_not_reported(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        waiting = await start(client, work(1), work(2))
        other = view(await client.call_tool("create_plan", {"goal": "g", "steps": [work(1)]}))
        assert other["reminder"].count("\n") == 0
        assert waiting["run_id"] in other["reminder"]
        wrong = await client.call_tool("get_plan", {"plan_id": "plan_x"})
        assert waiting["run_id"] in text(wrong), "also those that tell of a mistake"
        await report(client, waiting, *((order, "x") for order in waiting["waiting_on"]))
        assert "reminder" not in view(await client.call_tool("get_plan", {"plan_id": other["plan_id"]}))


async def test_what_an_agent_says_that_it_writes_can_be_rolled_back(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    step = {"id": 1, "tool": "delegate", "arguments": {"task": "t", "writes": ["a.txt", "new.txt", "/elsewhere/x"]}}
    async with Client(build_server(make_settings()), elicitation_callback=approve) as client:
        waiting = await start(client, step)
        (order,) = waiting["waiting_on"]
        assert "You may write: a.txt, new.txt, /elsewhere/x" in order["context"]
        (work / "a.txt").write_text("by the agent", encoding="utf-8")
        (work / "new.txt").write_text("by the agent", encoding="utf-8")
        done = view(await report(client, waiting, (order, "written")))
        shown = view(await client.call_tool("rollback", {"run_id": done["run_id"], "dry_run": True}))
        assert "elsewhere" in json.dumps(shown)
        undone = view(await client.call_tool("rollback", {"run_id": done["run_id"]}))
        assert undone["status"] == "succeeded", undone
    assert (work / "a.txt").read_text(encoding="utf-8") == "alpha\n"
    assert not (work / "new.txt").exists()


async def test_what_others_have_changed_since_is_not_rolled_back(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    step = {"id": 1, "tool": "delegate", "arguments": {"task": "t", "writes": ["a.txt"]}}
    async with Client(build_server(make_settings())) as client:
        waiting = await start(client, step)
        (work / "a.txt").write_text("by the agent", encoding="utf-8")
        done = view(await report(client, waiting, (waiting["waiting_on"][0], "written")))
        (work / "a.txt").write_text("by its owner", encoding="utf-8")
        shown = view(await client.call_tool("rollback", {"run_id": done["run_id"], "dry_run": True}))
    assert shown["would_do"][0]["verdict"] == "conflict"


async def test_the_plan_tells_who_is_the_agent_and_why_and_what_it_may_call(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings(agent="caller"))) as client:
        plan = await make_plan(client, [work(1, tools=["read_file", "delete_file"])])
        shown = view(await client.call_tool("get_plan", {"plan_id": plan}))
        assert "high" in shown["risk"]
        assert "its agent calls delete_file (high)" in json.dumps(shown["steps"])
        run = view(await client.call_tool("execute_plan", {"plan_id": plan}))
        full = await in_full(client, run)
    assert full["models"]["agent"] == "the calling agent: FORETHOUGHT_AGENT=caller says so"


async def test_an_agent_of_a_plan_is_named_tools_that_there_are(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        steps = [work(1, tools=["read_fil"]), work(2, tools=["write"]), work(3, tools="{{1}}")]
        refused = await client.call_tool("create_plan", {"goal": "g", "steps": steps})
    assert refused.is_error
    assert "Did you mean read_file" in text(refused)
    assert "its agent cannot call write" in text(refused)
    assert "what its agent may call is not named" in text(refused)


async def test_who_has_work_is_in_the_journal(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        waiting = await start(client, work(1))
        done = view(await report(client, waiting, (waiting["waiting_on"][0], "done")))
    assert [entry.body["id"] for entry in journal_of(settings, done, "order_taken")] == [
        entry.body["id"] for entry in journal_of(settings, done, "order_returned")
    ]


async def test_what_an_agent_writes_is_its_own_while_it_is_at_work_also_against_other_runs(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    step = {"id": 1, "tool": "delegate", "arguments": {"task": "t", "writes": ["a.txt"]}}
    steps = [step, {"id": 2, "tool": "delegate", "arguments": {"task": "u"}}]
    other = {"id": 1, "tool": "write_file", "arguments": {"path": "a.txt", "content": "by another run"}}
    async with Client(build_server(make_settings(silence=0.5))) as client:
        waiting = await start(client, *steps)
        while len(waiting.get("waiting_on", ())) < 2:  # on a busy machine a call falls silent before
            waiting = view(await client.call_tool("execute_plan", {"plan_id": waiting["plan_id"]}))
        beside, mine = sorted(waiting["waiting_on"], key=lambda order: "a.txt" in order["context"])
        plan = await make_plan(client, [other])
        held = view(await client.call_tool("execute_plan", {"plan_id": plan}))
        assert held["status"] == "running"
        assert (work / "a.txt").read_text(encoding="utf-8") == "alpha\n"
        await report(client, waiting, (beside, "done"))
        await client.call_tool("execute_plan", {"plan_id": held["plan_id"]})
        assert (work / "a.txt").read_text(encoding="utf-8") == "alpha\n", "also once its run was driven meanwhile"
        done = view(await report(client, waiting, (mine, "done")))
        with anyio.fail_after(60):
            while "running" in (held["status"], done["status"]):
                held = view(await client.call_tool("execute_plan", {"plan_id": held["plan_id"]}))
                done = view(await client.call_tool("execute_plan", {"plan_id": done["plan_id"]}))
    assert (held["status"], done["status"]) == ("succeeded", "succeeded")
    assert (work / "a.txt").read_text(encoding="utf-8") == "by another run"


async def test_a_model_takes_up_what_the_calling_agent_has_not_done_and_the_other_way_round(
    make_settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    """Who plays the agent may change between two starts of the server."""
    endpoint.reply = lambda _: said("by the model")
    own = {"model": "host", "base_url": endpoint.base_url, "role_models": {Role.AGENT: "m"}}
    async with Client(build_server(make_settings(agent="caller", **own))) as client:
        waiting = await start(client, work(1), work(2))
    async with Client(build_server(make_settings(**own))) as client:
        run = view(await report(client, waiting, (waiting["waiting_on"][0], "by the caller")))
        with anyio.fail_after(60):
            while run["status"] in ("waiting", "running"):
                run = view(await client.call_tool("execute_plan", {"plan_id": waiting["plan_id"]}))
    assert run["status"] == "succeeded", run
    assert sorted(run["answer"].values()) == ["by the caller", "by the model"]
