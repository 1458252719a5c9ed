"""Tree search as a run: the same journal, budgets, work orders and resumption as any other run."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import ended, view
from tests.server.thinking import View, idea, read, worth

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio


async def test_a_search_finds_a_way_and_shows_its_tree(scripted: Callable[..., Settings], era: str) -> None:
    script = {
        "proposer": [
            {"candidates": [idea("go left", "founded in 2010, a wall"), idea("go right", "a door")]},
            {"candidates": [idea("knock", "nothing"), idea("open it", "a treasure", final=True)]},
        ],
        "evaluator": [worth(2, 9)],
    }
    wanted = {"goal": "find the treasure", "verifier": {"matches": "treasure"}, "n_candidates": 2, "parallel": 1}
    async with Client(build_server(scripted(script)), mode=era) as client:
        done = await ended(client, view(await client.call_tool("lats_search", wanted)))
        run = done["run_id"]
        tree = json.loads(await read(client, f"run://{run}/tree"))[""]
        picture = await read(client, f"run://{run}/tree/graph")
        text = await read(client, f"run://{run}/tree/outline")
    assert (done["status"], done["solved"], done["answer"]) == ("succeeded", True, "a treasure")
    assert done["verified"] is True
    assert done["path"] == ["go right -> a door", "open it -> a treasure"]
    left, right = tree["children"]
    assert (left["value"], left["visits"]) == (pytest.approx(0.8 * 0.2 + 0.2 * 0.5), 1), "no score is read from prose"
    assert right["children"][1]["reward"] == 1
    assert right["visits"] == 2
    assert "n0_1_1" in picture
    assert "SOLVED" in picture
    assert text.splitlines()[1].startswith("  go right")


async def test_one_idea_alone_is_valued_with_the_next_and_its_tree_shows_that_value(
    scripted: Callable[..., Settings],
) -> None:
    script = {
        "proposer": [
            {"candidates": [idea("go left", "a wall"), idea("go right", "a door")]},
            {"candidates": [idea("knock", "a keyhole")]},
            {"candidates": [idea("push", "nothing"), idea("pick it", "it clicks")]},
            {"candidates": [idea("open it", "a treasure", final=True)]},
        ],
        "evaluator": [worth(2, 9), worth(8, 1, 10)],
    }
    wanted = {"goal": "find the treasure", "verifier": {"matches": "treasure"}, "n_candidates": 2, "parallel": 1}
    async with Client(build_server(scripted(script))) as client:
        done = await ended(client, view(await client.call_tool("lats_search", wanted)))
        tree = json.loads(await read(client, f"run://{done['run_id']}/tree"))[""]
    knock = tree["children"][1]["children"][0]
    assert done["solved"]
    assert (knock["action"], knock["visits"]) == ("knock", 2)
    own = 0.7 * (0.8 * 0.8 + 0.2 * 1) + 0.3 * (0.8 * 0.9 + 0.2 * 0.5)
    assert knock["value"] == pytest.approx((own + 1) / 2), "and what the success through it brought"


async def test_a_search_without_a_solution_says_so_and_shows_the_best_leaf(scripted: Callable[..., Settings]) -> None:
    script: dict[str, Any] = {
        "proposer": [
            {"candidates": [idea("guess", "41", final=True), idea("guess again", "43", final=True)]},
            {"candidates": []},
        ],
        "critic": [{"lesson": "guessing does not help"}],
    }
    wanted = {"goal": "the number", "verifier": {"equals": 42}, "parallel": 1}
    async with Client(build_server(scripted(script))) as client:
        done = await ended(client, view(await client.call_tool("lats_search", wanted)))
    assert (done["status"], done["solved"], done["stopped"]) == ("failed", False, "no solution")
    assert "No solution was found" in done["error"]
    assert "Its verifier says: " in done["error"]
    assert "42" in done["error"]
    assert done["path"] == ["guess -> 41"]


async def test_without_a_verifier_an_answer_is_judged_thrice_and_said_to_be_unverified(
    scripted: Callable[..., Settings],
) -> None:
    answers = [idea("say 1", "1", final=True), idea("say 2", "2", final=True), idea("say 3", "3", final=True)]
    contradicts = {"1": {"score": 3, "solved": True}, **{n: {"score": 9, "solved": True} for n in ("2", "3")}}
    # 3 has a fault, 2 has none; the critic sees the last one first.
    good, bad = {"fault": "", "right": True}, {"fault": "it is not 3", "right": True}
    script = {
        "proposer": [{"candidates": answers}],
        "evaluator": [contradicts, {"1": good, "2": bad}],
        "critic": [{"1": bad, "2": good}],
    }
    async with Client(build_server(scripted(script))) as client:
        done = await ended(client, view(await client.call_tool("lats_search", {"goal": "g", "parallel": 1})))
    assert (done["solved"], done["verified"], done["answer"]) == (True, False, "2")


async def test_acting_really_reads_and_never_writes(scripted: Callable[..., Settings], work: Path, era: str) -> None:
    def call(tool: str, answer: str = "", **arguments: str) -> View:
        pairs = [{"name": name, "value": value} for name, value in arguments.items()]
        return {"thought": f"try {tool}", "tool": tool, "arguments": pairs, "answer": answer}

    script = {
        "proposer": [
            {
                "candidates": [
                    call("read_file", path="a.txt"),
                    call("delete_file", path="old.txt"),
                    call("write_file", path="a.txt", content="gone"),
                    call("read_file", path="none.txt"),
                ]
            },
            {"candidates": [call("delete_file", path="old.txt")]},
            {"candidates": [call("answer", "alpha it is")]},
        ],
        "evaluator": [worth(9, 1, 1, 1), worth(9)],
    }
    wanted = {"goal": "what is in a.txt", "world": "act", "verifier": {"matches": "alpha"}, "parallel": 1}
    async with Client(build_server(scripted(script)), mode=era) as client:
        done = await ended(client, view(await client.call_tool("lats_search", wanted)))
        tree = json.loads(await read(client, f"run://{done['run_id']}/tree"))[""]
        plan = view(await client.call_tool("create_plan", {"from_search": done["run_id"]}))
        full = view(await client.call_tool("get_plan", {"plan_id": plan["plan_id"], "view": "full"}))
        nothing = await client.call_tool("create_plan", {"from_search": full["plan_id"]})
    assert (done["solved"], done["answer"]) == (True, "alpha it is")
    results = [child["result"] for child in tree["children"]]
    assert results[0] == "alpha\n"
    assert results[1] == results[2] == "(noted: a search only does what reads)"
    assert results[3].startswith("error:")
    assert (work / "a.txt").read_text(encoding="utf-8") == "alpha\n"
    assert (work / "old.txt").exists()
    assert [(step["tool"], step["depends_on"]) for step in full["steps"]] == [("read_file", []), ("delete_file", [1])]
    assert full["goal"] == "what is in a.txt"
    assert nothing.is_error


async def test_an_imagined_way_becomes_a_plan_through_the_planner(scripted: Callable[..., Settings]) -> None:
    step = {
        "id": 1,
        "description": "Look",
        "tool": "read_file",
        "arguments": [{"name": "path", "value": "a.txt"}],
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
    }
    script = {
        "proposer": [{"candidates": [idea("read a.txt", "alpha", final=True)]}],
        "evaluator": [{"1": {"score": 9, "solved": True}}, {"1": {"fault": "", "right": True}}],
        "critic": [{"1": {"fault": "", "right": True}}],
        "planner": [{"reasoning": "", "steps": [step]}],
    }
    async with Client(build_server(scripted(script))) as client:
        done = await ended(client, view(await client.call_tool("lats_search", {"goal": "g", "parallel": 1})))
        plan = view(await client.call_tool("create_plan", {"from_search": done["run_id"]}))
        (planning,) = (
            [
                line
                for line in (await read(client, f"run://{plan['run_id']}/journal")).splitlines()
                if '"plan/0"' in line
            ]
            if "run_id" in plan
            else [""]
        )
    assert plan["steps"] == ["1. read_file (low): Look"]
    assert not planning or "1. read a.txt -> alpha" in planning


def agent(order: Mapping[str, Any]) -> Any:
    """A calling agent that knows the way: right, right, then the end."""
    match order["role"]:
        case "proposer":
            depth = order["context"].count("go ") if "Nothing is done yet" not in order["context"] else 0
            ways = order["context"].split("The way so far:\n")[-1].split("\n\n")[0] if depth else ""
            if ways.count("go ") == 2:
                right = ways.count("go right") == 2
                return {"candidates": [idea("look", "gold" if right else "dust", final=True)]}
            return {"candidates": [idea("go left"), idea("go right")]}
        case "evaluator":
            return worth(*[6] * len(order["schema"]["properties"]))
        case _:
            return {"lesson": ""}


async def test_a_whole_search_by_work_orders_in_rounds(make_settings: Callable[..., Settings], era: str) -> None:
    """One round asks for the proposals of every trajectory, the next for one evaluation of all that has grown."""
    wanted = {"goal": "gold", "verifier": {"matches": "gold"}, "n_candidates": 2, "parallel": 3}
    batches: list[list[str]] = []
    async with Client(build_server(make_settings()), mode=era) as client:
        step = await ended(client, view(await client.call_tool("lats_search", wanted)))
        with anyio.fail_after(300):
            while step["status"] == "waiting":
                batches.append([order["role"] for order in step["waiting_on"]])
                answers = [{"order": order["order"], "answer": agent(order)} for order in step["waiting_on"]]
                step = await ended(
                    client, view(await client.call_tool("report", {"run_id": step["run_id"], "answers": answers}))
                )
    assert (step["status"], step["answer"]) == ("succeeded", "gold")
    assert max(map(len, batches)) >= 2
    assert all(len(set(roles)) == 1 for roles in batches), "a round asks for one kind of thing"
    assert batches[0] == ["proposer"]
    assert all(roles == ["evaluator"] for roles in batches if "evaluator" in roles)


async def test_a_search_that_was_cut_off_goes_on_where_it_was(make_settings: Callable[..., Settings]) -> None:
    """The same orders are open after each restart, and what was answered is not asked again."""
    wanted = {"goal": "gold", "verifier": {"matches": "gold"}, "n_candidates": 2, "parallel": 2}
    asked: list[str] = []
    contexts: list[str] = []
    run = ""
    settings = make_settings()
    with anyio.fail_after(300):
        while True:
            async with Client(build_server(settings)) as client:
                again: dict[str, Any] = {"run_id": run, "answers": []}
                name, arguments = ("report", again) if run else ("lats_search", wanted)
                step = await ended(client, view(await client.call_tool(name, arguments)))
            run = step["run_id"]
            if step["status"] != "waiting":
                break
            async with Client(build_server(settings)) as client:
                again = await ended(client, view(await client.call_tool("report", {"run_id": run, "answers": []})))
                assert again["waiting_on"] == step["waiting_on"], "the same, with the same ids"
                asked += [order["order"] for order in again["waiting_on"]]
                contexts += [order["role"] + order["context"] for order in again["waiting_on"]]
                answers = [{"order": order["order"], "answer": agent(order)} for order in again["waiting_on"]]
                await client.call_tool("report", {"run_id": run, "answers": answers})
                step = await ended(client, view(await client.call_tool("report", {"run_id": run, "answers": []})))
            if step["status"] != "waiting":
                break
    assert (step["status"], step["answer"]) == ("succeeded", "gold")
    assert len(asked) == len(set(asked))
    assert len(contexts) == len(set(contexts)), "nothing is asked twice, in other words"


async def test_a_search_tells_its_progress_and_stops_at_its_budget(scripted: Callable[..., Settings], era: str) -> None:
    heard: list[str] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async def refuse(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        assert "beyond the budget of 4 model calls" in params.message
        return ElicitResult(action="accept", content={"decision": "reject"})

    ways = {"candidates": [idea("go left"), idea("go right", "a garden")]}
    script = {"proposer": [{"always": ways}], "evaluator": [{"always": worth(3, 8)}]}
    wanted = {"goal": "gold", "verifier": {"matches": "gold"}, "budget": {"model_calls": 4}, "parallel": 1}
    server = build_server(scripted(script))
    async with Client(server, mode=era, elicitation_callback=refuse) as client:
        done = await ended(client, view(await client.call_tool("lats_search", wanted, progress_callback=progress)))
    assert (done["status"], done["solved"]) == ("failed", False)
    assert "4 model calls is used up" in done["stopped"]
    assert done["path"][0] == "go right -> a garden", "the best way so far"
    assert "trajectories" in heard[-1]
    assert "model calls: 4" in done["usage"]
