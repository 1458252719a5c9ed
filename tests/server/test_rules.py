"""Rules: what a person has allowed once and for all is not asked about, and nothing else is allowed by it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from tests.server.asking import Asked, answering, delete, flat, in_full, journal_of, make_plan, run_steps, view, write
from tests.server.pages import decided, open_page
from tests.server.ruling import always, say
from tests.terminal import piped, scripted, surroundings, typed

from forethought.app import open_journal
from forethought.gates.decisions import Recorded, Refused
from forethought.journal.codec import gate_of
from forethought.journal.rows import Fact
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_tools import JSON, Risk

pytestmark = pytest.mark.anyio
NEVER = Terms(replan="never")


def command(number: int, line: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "tool": "run_command", "arguments": {"command": line, **more}}


async def outcome(client: Client, step: Mapping[str, Any], **terms: Any) -> str:
    """How a run of this one step has come out: `waiting` if a person is asked."""
    return str((await run_steps(client, [step], **terms))["status"])


async def test_a_rule_of_the_settings_covers_calls_by_their_arguments_and_each_use_is_told(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(risks={"run_command(echo *)": Risk.LOW}, terms=NEVER)
    async with Client(build_server(settings)) as client:
        done = await run_steps(client, [command(1, "echo a b"), command(2, "exit 0", folder=".")])
        assert done["status"] == "waiting", "only one of them is covered"
        full = await in_full(client, done)
        assert full["steps"][0]["state"] == "succeeded"
        assert full["steps"][0]["not_asked"] == "rule run_command(echo *)"
        assert "not_asked" not in full["steps"][1]
    (used,) = journal_of(settings, done, "rule_used")
    assert used.body["rule"] == "run_command(echo *)"
    assert used.body["step"] == 1


async def test_what_a_person_has_allowed_is_not_asked_about_until_they_take_it_back(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(terms=NEVER)
    for name in ("b.txt", "c.txt", "d.txt"):
        (work / name).write_text("x", encoding="utf-8")
    async with Client(build_server(settings)) as client:
        first = await run_steps(client, [delete(1, "old.txt")])
        assert isinstance(await always(settings, first, 2), Recorded)
        done = await run_steps(client, [delete(1, "b.txt"), delete(2, "c.txt")])
        assert done["status"] == "succeeded"
        full = await in_full(client, done)
        assert full["steps"][1]["not_asked"] == "rule delete_file(*)"
        assert {str(use.body["step"]) for use in journal_of(settings, done, "rule_used")} == {"1", "2"}
        (made,) = journal_of(settings, first, "rule_made")
        assert made.body["channel"] == "terminal"
        environment = surroundings(settings.home, **({"FORETHOUGHT_STORE": settings.store} if settings.store else {}))
        (listed,) = json.loads(piped(environment, "rules", "--json").stdout)
        assert listed["rule"] == "delete_file(*)"
        assert listed["run_id"] == first["run_id"]
        assert listed["folders"] == [str(work)]
        assert piped(environment, "rules", "forget", listed["rule_id"]).returncode == 3, "a person is asked"
        status, screen = typed(environment, "rules", "forget", "all", answers=[("[y/N]", "y")])
        assert (status, "delete_file(*)" in screen) == (0, True)
        assert piped(environment, "rules", "forget", "all").returncode != 0
        assert await outcome(client, delete(1, "d.txt")) == "waiting"
    assert piped(environment, "verify").returncode == 0
    assert (work / "d.txt").exists()


async def test_a_rule_is_made_in_the_terminal_and_shown_before(tmp_path: Path, work: Path) -> None:
    plan = flat(delete(1, "old.txt"), {**delete(2, "a.txt"), "depends_on": [1]})
    model = scripted(tmp_path, {"planner": plan, "joiner": {"done": True, "answer": "Done.", "missing": ""}})
    environment = surroundings(tmp_path / "home", FORETHOUGHT_MODEL=model, FORETHOUGHT_FOLDERS=str(work))
    answers = [("to decide later", "always"), ("a number", "7"), ("to decide later", "always"), ("a number", "2")]
    status, screen = typed(environment, "run", "--yes", "x", answers=answers)
    assert status == 0, screen
    assert "always 1: delete_file(old.txt)" in screen
    assert "always 2: delete_file(*)" in screen
    assert screen.count("A person must decide") == 1, "the second call is covered"
    assert not (work / "a.txt").exists()


async def test_a_rule_is_made_on_the_page(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(terms=NEVER)
    async with open_page(settings, "echo 1") as opened:
        (gate,) = opened.gates()
        page = await opened.look(gate)
        assert 'value="always 2"' in page
        assert "run_command(echo *)" in page
        assert (await opened.send(gate, decision="always 2")).status_code == 200
        assert decided(opened, gate)["verb"] == "approve"
    async with Client(build_server(settings)) as client:
        assert await outcome(client, command(1, "echo 2")) == "succeeded"
        assert await outcome(client, command(1, "echo 2 > x")) == "waiting"


async def test_no_form_of_a_client_makes_a_rule(make_settings: Callable[..., Settings], era: str, work: Path) -> None:
    asked: Asked = []
    forms: list[Any] = []
    answer = answering(asked, "accept", {"decision": "always 1"})

    async def elicit(context: Any, params: Any) -> Any:
        forms.append(params.requested_schema)
        return await answer(context, params)

    settings = make_settings(terms=NEVER)
    async with Client(build_server(settings), mode=era, elicitation_callback=elicit) as client:
        waiting = await run_steps(client, [delete(1, "old.txt")])
    assert waiting["status"] == "waiting"
    assert asked
    assert "always" not in json.dumps(forms)
    assert isinstance(await always(settings, waiting, 1, channel="elicitation"), Refused)
    assert isinstance(await always(settings, waiting, 9), Refused)
    assert isinstance(await always(settings, waiting, 1), Recorded)


async def test_a_rule_holds_in_its_own_folders_only(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = make_settings(terms=NEVER)
    async with Client(build_server(settings)) as client:
        await always(settings, await run_steps(client, [command(1, "echo 1")]), 2)
        assert await outcome(client, command(1, "echo b")) == "succeeded"
    (tmp_path / "elsewhere").mkdir()
    async with Client(build_server(replace(settings, folders=(tmp_path / "elsewhere",)))) as client:
        assert await outcome(client, command(1, "echo b")) == "waiting"


async def test_a_rule_rests_on_the_files_that_its_own_words_name(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    """Allowed once, a script must not be rewritten by a plan and run unasked."""
    settings = make_settings(terms=NEVER)
    (work / "build.sh").write_text("echo harmless\n", encoding="utf-8")
    async with Client(build_server(settings)) as client:
        await always(settings, await run_steps(client, [command(1, "sh build.sh")]), 1)
        assert await outcome(client, command(1, "sh build.sh")) == "succeeded"
        assert await outcome(
            client, {**write(1, "build.sh"), "arguments": {"path": "build.sh", "content": "touch evil\n"}}
        )
        assert await outcome(client, command(1, "sh build.sh")) == "waiting"
        await always(settings, await run_steps(client, [command(1, "cat a.txt")]), 2)
        (work / "a.txt").write_text("changed\n", encoding="utf-8")
        assert await outcome(client, command(1, "cat a.txt")) == "succeeded", "words left open name any file"
    assert not (work / "evil").exists()


async def test_a_rule_is_about_risk_and_silences_no_other_question(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(terms=NEVER)
    async with Client(build_server(settings)) as client:
        await always(settings, await run_steps(client, [command(1, "echo 1")]), 2)
        unsure = {**command(1, "echo b"), "confidence": 0.2}
        assert await outcome(client, unsure, ask_below=0.5) == "waiting"
        assert await outcome(client, command(1, "echo b"), approve_plan=True) == "waiting"
        assert await outcome(client, command(1, "echo b"), budget={"tool_calls": 0}) == "waiting"
        wide = make_settings(terms=NEVER, risks={"write_file(path=**)": Risk.LOW})
    async with Client(build_server(wide)) as client:
        assert await outcome(client, write(1, ".mcp.json")) == "waiting", "other programs obey it"
    assert not (work / ".mcp.json").exists()


async def test_whoever_starts_a_run_can_have_a_person_asked_whatever_the_rules(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(terms=NEVER)
    async with Client(build_server(settings)) as client:
        await always(settings, await run_steps(client, [delete(1, "old.txt")]), 2)
        assert await outcome(client, delete(1, "a.txt"), risks={"delete_file(a.*)": "high"}) == "waiting"
        assert (work / "a.txt").exists()
        assert await outcome(client, delete(1, "a.txt"), risks={"delete_file(b.*)": "high"}) == "succeeded"


async def test_the_items_of_a_loop_pass_by_a_rule_each_and_only_others_are_asked_about(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    settings = make_settings(terms=NEVER)
    (work / "docs").mkdir()
    names = ["docs/a", "docs/b", "docs/c", "d.txt", "e.txt"]
    for name in ("docs/first", *names):
        (work / name).write_text("x", encoding="utf-8")
    loop = {"id": 1, "tool": "delete_file", "for_each": names, "arguments": {"path": "{{item}}"}}
    async with Client(build_server(settings)) as client:
        await always(settings, await run_steps(client, [delete(1, "docs/first")]), 2)
        run = await run_steps(client, [loop])
        with open_journal(settings) as journal:
            (gate,) = journal.queries.open_messages(run["run_id"], "gate")
        assert list(gate_of(gate).details.values()) == [{"path": "d.txt"}, {"path": "e.txt"}]
        assert isinstance(await say(settings, run, "approve"), Recorded)
        with anyio.fail_after(120):
            while view(await client.call_tool("execute_plan", {"plan_id": run["plan_id"]}))["status"] != "succeeded":
                pass
    assert not any((work / name).exists() for name in names)
    used = journal_of(settings, run, "rule_used")
    assert sorted(str(use.body["rule"]) for use in used) == ["delete_file(docs/*)"] * 3
    assert len({str(use.body["step"]) for use in used}) == 3, "each item has its own"


async def test_a_rule_that_is_taken_back_lets_nothing_pass_that_has_not_begun(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / "until.sh").write_text("until [ -e go ]; do sleep 0.1; done", encoding="utf-8")
    settings = make_settings(terms=NEVER, risks={"run_command(sh until.sh)": Risk.LOW})
    ended: list[str] = []
    async with Client(build_server(settings)) as client, anyio.create_task_group() as tasks:
        first = await run_steps(client, [delete(1, "old.txt")])
        await always(settings, first, 2)

        async def until_it_ends(plan_id: str) -> None:
            ended.append(view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"])

        busy = await make_plan(client, [command(1, "sh until.sh")])
        tasks.start_soon(until_it_ends, busy)
        with anyio.fail_after(120):
            while (await in_full(client, {"plan_id": busy}))["steps"][0].get("state") != "running":
                pass
            behind = await make_plan(client, [delete(1, "a.txt")])
            tasks.start_soon(until_it_ends, behind)
            while "not_asked" not in (await in_full(client, {"plan_id": behind}))["steps"][0]:
                pass
        with open_journal(settings) as journal:
            ids: list[JSON] = [rule.id for rule in journal.queries.rules()]
            journal.store.commit("", Fact("rules_forgotten", {"rules": ids}))
        (work / "go").touch()
    assert sorted(ended) == ["succeeded", "waiting"]
    assert (work / "a.txt").exists()


async def test_a_caller_can_raise_by_arguments_too(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(terms=NEVER, risks={"run_command(echo *)": Risk.LOW})
    async with Client(build_server(settings)) as client:
        assert await outcome(client, command(1, "echo a"), risks={"run_command(echo *)": "high"}) == "waiting"
        assert await outcome(client, command(1, "ls"), risks={"run_command(ls)": "low"}) == "waiting"
        made = view(await client.call_tool("create_plan", {"goal": "g", "steps": [command(1, "echo a")]}))
        wrong = {"plan_id": made["plan_id"], "risks": {"run_command(": "high"}}
        assert (await client.call_tool("execute_plan", wrong)).is_error
