"""Who has lost an id finds every run and plan again: what it is, how it stands, how old it is, newest first."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp.client import Client
from tests.server.asking import COPY, DELETE, make_plan, run_steps, text, view

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


async def _listed(client: Client, **arguments: Any) -> dict[str, Any]:
    return view(await client.call_tool("get_plan", arguments))


async def test_every_kind_of_run_and_every_plan_is_listed_newest_first(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        assert (await _listed(client))["next"] == 'create_plan(goal="...")'
        ready = await make_plan(client, COPY, "copy\nit")
        ended = view(await client.call_tool("execute_plan", {"plan_id": await make_plan(client, COPY, "done")}))
        asks = view(await client.call_tool("execute_plan", {"plan_id": await make_plan(client, DELETE, "delete")}))
        planned = view(await client.call_tool("create_plan", {"goal": "think"}))
        written = view(await client.call_tool("reflect", {"task": "write"}))
        searched = view(await client.call_tool("lats_search", {"goal": "seek"}))
        undone = view(await client.call_tool("rollback", {"run_id": ended["run_id"]}))
        called = await client.call_tool("get_plan", {})
        found = view(called)
    lines = [(each["id"], each["kind"], each["state"]) for each in found["runs"]]
    assert lines == [
        (undone["run_id"], "rollback", "waiting"),
        (searched["run_id"], "search", "waiting"),
        (written["run_id"], "reflection", "waiting"),
        (planned["run_id"], "planning", "waiting"),
        (asks["run_id"], "plan", "waiting"),
        (ended["run_id"], "plan", "succeeded"),
        (ready, "plan", "ready"),
    ]
    assert all(each["age"].split()[1] in ("s", "min") for each in found["runs"])
    assert found["runs"][4]["plan_id"] == asks["plan_id"]
    assert "copy it" in text(called)
    assert found["next"] == f'report(run_id="{undone["run_id"]}", answers=[])'


async def test_a_plan_that_was_planned_is_listed_once(scripted: Callable[..., Settings]) -> None:
    settings = scripted({"planner": ['read("a.txt")']}, lessons=False)
    async with Client(build_server(settings)) as client:
        made = await client.call_tool("create_plan", {"goal": "read a.txt"})
        found = await _listed(client)
    assert len(found["runs"]) == 1
    assert found["runs"][0]["state"] in ("ready", "failed"), text(made)


async def test_a_long_list_comes_in_short_pages(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        made = [await make_plan(client, COPY, f"{number} {'words ' * 100}") for number in range(25)]
        pages = [await _listed(client)]
        while "page=" in pages[-1]["next"]:
            pages.append(await _listed(client, page=pages[-1]["page"] + 1))
    assert [each["id"] for page in pages for each in page["runs"]] == made[::-1]
    assert len(pages) == 3
    assert max(len(json.dumps(page)) for page in pages) < 2000


async def test_a_run_can_be_looked_at_by_its_own_id_without_waiting_for_it(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings())) as client:
        written = view(await client.call_tool("reflect", {"task": "write"}))
        seen = view(await client.call_tool("get_plan", {"plan_id": written["run_id"], "view": "full"}))
    assert seen == written


async def test_an_id_of_something_else_is_told_as_what_it_is(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        fresh = view(await client.call_tool("create_plan", {"goal": "f", "steps": COPY}))["plan_id"]
        ran = await run_steps(client, COPY)
        searched = view(await client.call_tool("lats_search", {"goal": "g"}))["run_id"]
        for tool, given, says in (
            ("get_plan", {"plan_id": fresh, "revision": 7}, f"{fresh} has no revision 7. Its latest is 1."),
            ("get_plan", {"plan_id": fresh, "view": "diff", "against": 3}, f"{fresh} has no revision 3"),
            ("execute_plan", {"plan_id": ran["run_id"]}, f"is a run, and its plan is {ran['plan_id']}."),
            ("update_plan", {"plan_id": searched, "revision": 1, "drop": [1]}, f"{searched} is a run, and has no plan"),
            ("stop", {"run_id": fresh}, f"{fresh} is a plan that has not run."),
            ("stop", {"run_id": ran["plan_id"]}, f"Its latest run is {ran['run_id']}."),
        ):
            refused = await client.call_tool(tool, given)
            assert refused.is_error
            assert says in text(refused)


@pytest.mark.parametrize("view_of", [{}, {"view": "tools"}])
async def test_a_page_behind_the_last_says_so(make_settings: Callable[..., Settings], view_of: dict[str, Any]) -> None:
    async with Client(build_server(make_settings())) as client:
        plan_id = await make_plan(client, COPY)
        beyond = await _listed(client, page=9, **view_of)
        assert beyond["found"] == "there is nothing on this page"
        assert "page=" not in beyond["next"]
        steps = (await _listed(client, plan_id=plan_id, view="list", page=9))["steps"]
    assert steps == ["There is no page 9: the last is 1."]
