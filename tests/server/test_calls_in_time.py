"""Every call hands back before clients give up, whatever they hear and whoever is asked; nothing is lost by it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import APPROVE, DELETE, make_plan, states_of, view

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import SettingsError

pytestmark = pytest.mark.anyio

LONG = [{"id": 1, "tool": "wait", "arguments": {"seconds": 3000}}]


async def test_a_call_hands_back_though_its_client_is_told_of_progress(
    make_settings: Callable[..., Settings], era: str
) -> None:
    heard: list[float] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(progress)

    settings = make_settings(silence=60, longest_call=2.0)
    async with Client(build_server(settings), mode=era) as client:
        plan_id = await make_plan(client, LONG)
        with anyio.fail_after(60):
            now = view(await client.call_tool("execute_plan", {"plan_id": plan_id}, progress_callback=progress))
            assert now["status"] == "running"
            assert len(heard) > 1
            again: dict[str, Any] = {"run_id": now["run_id"], "answers": []}
            waited = view(await client.call_tool("report", again, progress_callback=progress))
            assert (waited["status"], waited["run_id"]) == ("running", now["run_id"])
            assert view(await client.call_tool("stop", {"run_id": now["run_id"]}))["status"] == "cancelled"


async def test_progress_notices_that_come_too_seldom_do_not_keep_a_call_open(
    make_settings: Callable[..., Settings], era: str
) -> None:
    async def progress(progress: float, total: float | None, message: str | None) -> None:
        pass

    settings = make_settings(silence=0.5, heartbeat=600.0, longest_call=600.0)
    async with Client(build_server(settings), mode=era) as client:
        plan_id = await make_plan(client, LONG)
        with anyio.fail_after(60):
            now = view(await client.call_tool("execute_plan", {"plan_id": plan_id}, progress_callback=progress))
            await client.call_tool("stop", {"run_id": now["run_id"]})
    assert now["status"] == "running"


async def test_a_form_that_is_answered_after_its_call_has_returned_still_counts(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    returned = anyio.Event()
    asked: list[str] = []

    async def late(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        await returned.wait()
        return ElicitResult(action="accept", content=APPROVE)

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        pass

    settings = make_settings(longest_call=1.0)
    async with Client(build_server(settings), mode="legacy", elicitation_callback=late) as client:
        plan_id = await make_plan(client, DELETE)
        with anyio.fail_after(60):
            wanted = {"plan_id": plan_id}
            for _ in range(2):
                waiting = view(await client.call_tool("execute_plan", wanted, progress_callback=progress))
                assert waiting["status"] == "waiting"
            assert len(asked) == 1, "the form is open already"
            returned.set()
            while (await states_of(client, plan_id))[3] != "succeeded":
                pass
    assert not (work / "old.txt").exists()


async def test_a_form_that_is_refused_after_its_call_has_returned_is_shown_again_by_the_next_call(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    answers: list[dict[str, Any]] = []
    let_go = anyio.Event()

    async def person(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        answers.append({})
        if len(answers) > 1:
            return ElicitResult(action="accept", content=APPROVE)
        await let_go.wait()
        return ElicitResult(action="decline")

    settings = make_settings(longest_call=1.0)
    async with Client(build_server(settings), mode="legacy", elicitation_callback=person) as client:
        plan_id = await make_plan(client, DELETE)
        with anyio.fail_after(60):
            assert view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "waiting"
            let_go.set()
            assert (work / "old.txt").exists()
            while len(answers) < 2:  # the decline is on its way, and the form is not shown twice before
                await client.call_tool("execute_plan", {"plan_id": plan_id})
            while (await states_of(client, plan_id))[3] != "succeeded":
                pass
    assert not (work / "old.txt").exists()


@pytest.mark.parametrize("name", ["FORETHOUGHT_SILENCE_SECONDS", "FORETHOUGHT_CALL_SECONDS"])
@pytest.mark.parametrize("value", ["0", "-1", "soon", "nan", "inf", "1e9"])
def test_how_long_a_call_may_take_is_a_number_of_seconds(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.read({name: value})


def test_how_long_a_call_may_take_can_be_set() -> None:
    assert (Settings.read({}).silence, Settings.read({}).longest_call) == (20, 45)
    settings = Settings.read({"FORETHOUGHT_SILENCE_SECONDS": "4", "FORETHOUGHT_CALL_SECONDS": "4.5"})
    assert (settings.silence, settings.longest_call) == (4, 4.5)
