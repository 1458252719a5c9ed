"""What any MCP client gets, in both protocol eras: small strict tools, plans, runs, work orders, resources, notices."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.types import CallToolResult, ResourceTemplateReference, TextContent, TextResourceContents
from tests.stores import environment

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "forethought")
COPY: list[dict[str, Any]] = [
    {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}},
    {
        "id": 2,
        "tool": "write_file",
        "arguments": {"path": "b.txt", "content": "{{1}}!"},
    },
]


def view(result: CallToolResult) -> dict[str, Any]:
    """The structured answer of a call that worked."""
    assert not result.is_error, text(result)
    assert result.structured_content is not None
    return dict(result.structured_content)


def text(result: CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


async def test_the_tool_list_is_small_flat_and_honest(make_settings: Callable[..., Settings], era: str) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        tools = (await client.list_tools()).tools
    wire = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    assert [tool.name for tool in tools] == [
        "create_plan",
        "execute_plan",
        "reflect",
        "lats_search",
        "get_plan",
        "report",
        "rollback",
        "stop",
    ]
    # Nine tools must fit into 8,000 bytes in the end; those to come are smaller.
    assert len(json.dumps(wire, separators=(",", ":"))) < 7700
    assert "$ref" not in json.dumps(wire)
    for tool in wire:
        assert tool["title"]
        hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert hints <= set(tool["annotations"])
        assert not {"anyOf", "oneOf", "allOf"} & set(tool["inputSchema"])
        assert tool["outputSchema"] == wire[0]["outputSchema"]


async def test_steps_of_the_caller_become_a_plan_that_runs(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        plan = view(await client.call_tool("create_plan", {"goal": "copy a.txt", "steps": COPY}))
        assert plan["status"] == "ready"
        assert "longest chain 2 (1, 2)" in plan["shape"]
        assert plan["levels"] == "1 | 2"
        assert "medium: 2 (writes)" in plan["risk"]
        assert not (work / "b.txt").exists()
        done = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
    assert done["status"] == "succeeded"
    assert done["progress"] == "2 of 2 steps succeeded"
    assert (work / "b.txt").read_text(encoding="utf-8") == "alpha\n!"


async def test_default_answers_are_short_and_say_what_to_call_next(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [
        {**COPY[0], "id": i, "description": "Read the file that everybody talks about " * 3} for i in range(1, 200)
    ]
    async with Client(build_server(make_settings())) as client:
        created = view(await client.call_tool("create_plan", {"goal": "x " * 400, "steps": steps}))
        done = view(await client.call_tool("execute_plan", {"plan_id": created["plan_id"]}))
        asked = {"plan_id": created["plan_id"], "view": "list"}
        whole, real = [view(await client.call_tool("get_plan", {**asked, "page": page})) for page in (1, 1.0)]
        assert whole == real, "to JSON both are integers"
        assert not view(await client.call_tool("get_plan", {**asked, "page": 1e308}))["steps"]
        brief = view(await client.call_tool("get_plan", {"plan_id": created["plan_id"]}))
        pages = [
            view(await client.call_tool("get_plan", {"plan_id": created["plan_id"], "view": "list", "page": page}))
            for page in (1, 4)
        ]
    for answer in (created, done, brief):
        assert answer["next"]
    assert len(json.dumps(created)) < 2000
    assert [len(page["steps"]) for page in pages] == [50, 49]
    assert "page=2" in pages[0]["next"]


async def test_running_a_plan_again_shows_the_result_and_repeats_nothing(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    async with Client(build_server(make_settings())) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "copy", "steps": COPY}))["plan_id"]
        first = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        (work / "b.txt").unlink()
        second = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert second == first
        assert not (work / "b.txt").exists()
        third = view(await client.call_tool("execute_plan", {"plan_id": plan_id, "again": True}))
    assert third["run_id"] != first["run_id"]
    assert (work / "b.txt").exists()


async def test_a_call_that_is_repeated_at_once_does_not_do_the_work_twice(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    seen: list[str] = []
    settings = make_settings()
    # Two servers over one journal, and two calls to each.
    other = StdioServerParameters(
        command=COMMAND,
        args=["serve", "--folder", str(work)],
        env={**environment(settings), "FORETHOUGHT_MODEL": "host"},
    )
    async with Client(build_server(settings), mode=era) as one, Client(other, mode=era) as two:
        steps = [{"id": 1, "tool": "wait", "arguments": {"seconds": 0.5}}]
        plan_id = view(await one.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]

        async def call(client: Client) -> None:
            with anyio.fail_after(20):
                seen.append(view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"])

        async with anyio.create_task_group() as tasks:
            for client in (one, two, one, two):
                tasks.start_soon(call, client)
    assert len(seen) == 4
    assert len(set(seen)) == 1


async def test_a_plan_of_two_thousand_steps_is_run_and_told_about_in_fair_time(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [{"id": i, "tool": "wait", "arguments": {"seconds": 0}} for i in range(1, 2001)]
    async with Client(build_server(make_settings(silence=60))) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        with anyio.fail_after(60):
            done = view(await client.call_tool("execute_plan", {"plan_id": plan_id, "max_parallel": 64}))
    assert done["progress"] == "2000 of 2000 steps succeeded"


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("create_plan", {"goal": "g", "steps": [{"id": 1, "tool": "reed_file"}]}, "Did you mean read_file"),
        ("create_plan", {"goal": "g", "plan": 1}, "'plan' was unexpected"),
        ("create_plan", {}, "it needs a goal, or from_search"),
        ("reflect", {}, "'task' is a required property"),
        ("execute_plan", {"plan_id": "plan_x"}, "get_plan without plan_id lists"),
        ("get_plan", {"plan_id": 5, "view": "all"}, "'all' is not one of"),
        ("report", {"run_id": "run_x", "answers": []}, "There is no run 'run_x'"),
        ("stop", {"run_id": "run_x"}, "There is no run 'run_x'"),
    ],
)
async def test_what_a_caller_can_mend_is_a_tool_error_that_says_how(
    make_settings: Callable[..., Settings], era: str, tool: str, arguments: dict[str, Any], says: str
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert says in text(result)


async def test_without_a_model_planning_and_writing_become_work_orders(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    def draft(**changes: Any) -> dict[str, Any]:
        step = {
            "id": 1,
            "description": "Word it",
            "tool": "write",
            "arguments": {"brief": "say hello"},
            "depends_on": [],
            "expected_output": "",
        }
        save = {
            "id": 2,
            "description": "Save it",
            "tool": "write_file",
            "depends_on": [],
            "arguments": {"path": "hello.md", "content": "{{1}}"},
            "expected_output": "",
        }
        return {"reasoning": "two steps", "steps": [step, {**save, **changes}]}

    async with Client(build_server(make_settings()), mode=era) as client:

        async def hand_in(waiting: dict[str, Any], answer: object) -> dict[str, Any]:
            (order,) = waiting["waiting_on"]
            answers = [{"order": order["order"], "answer": answer}]
            return view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))

        waiting = view(await client.call_tool("create_plan", {"goal": "Greet: write hello.md from a.txt"}))
        assert waiting["status"] == "waiting"
        assert waiting["waiting_on"][0]["role"] == "planner"
        assert "alpha" in waiting["waiting_on"][0]["context"], "first lines of a named file are in the prompt"
        faulty = await hand_in(waiting, draft(depends_on=[7]))
        assert "it depends on step 7, which is not in the plan" in faulty["waiting_on"][0]["context"]
        plan = await hand_in(faulty, draft())
        assert plan["status"] == "ready"
        asked = view(await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]}))
        assert asked["waiting_on"][0]["role"] == "executor"
        wrong = await client.call_tool(
            "report",
            {
                "run_id": asked["run_id"],
                "answers": [{"order": asked["waiting_on"][0]["order"], "answer": {"a": 1}}],
            },
        )
        assert wrong.is_error
        assert "not of type 'string'" in text(wrong)
        joining = await hand_in(asked, "Hello!")
        assert joining["waiting_on"][0]["role"] == "joiner", "who planned for us also words the answer"
        done = await hand_in(joining, {"done": True, "answer": "It says hello.", "missing": ""})
    assert done["answer"] == "It says hello."
    assert done["status"] == "succeeded"
    assert (work / "hello.md").read_text(encoding="utf-8") == "Hello!"


async def test_the_faults_of_the_last_draft_come_back_when_repair_did_not_help(
    make_settings: Callable[..., Settings],
) -> None:
    async with Client(build_server(make_settings())) as client:
        waiting = view(await client.call_tool("create_plan", {"goal": "g"}))
        for _ in range(3):
            order = waiting["waiting_on"][0]["order"]
            answers = [{"order": order, "answer": {"reasoning": "", "steps": []}}]
            waiting = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))
    assert waiting["status"] == "failed"
    assert "it has no steps" in waiting["error"]


async def test_several_orders_are_offered_together_and_all_or_none_are_taken(
    make_settings: Callable[..., Settings],
) -> None:
    steps = [{"id": i, "tool": "analyze", "arguments": {"question": f"q{i}"}} for i in (1, 2, 3)]
    async with Client(build_server(make_settings())) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id, "max_parallel": 1}))
        orders = {order["order"]: order["instructions"] for order in waiting["waiting_on"]}
        assert len(orders) == 3, "a step that waits holds no place"
        good = [{"order": order, "answer": f"answer to {told[-2:]}"} for order, told in orders.items()]
        bad = await client.call_tool(
            "report", {"run_id": waiting["run_id"], "answers": [*good, {"order": "order_x", "answer": "?"}]}
        )
        assert bad.is_error
        assert "order_x" in text(bad)
        done = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": good}))
    assert done["status"] == "succeeded"
    assert len(done["answer"]) == 3


async def test_a_call_returns_after_some_silence_and_the_run_goes_on(
    make_settings: Callable[..., Settings], era: str
) -> None:
    steps = [{"id": 1, "tool": "wait", "arguments": {"seconds": 1.5}}]
    async with Client(build_server(make_settings(silence=0.3)), mode=era) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        running = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert running["status"] == "running"
        assert "execute_plan" in running["next"]
        with anyio.fail_after(10):
            while running["status"] == "running":
                running = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
    assert running["status"] == "succeeded"


async def test_a_run_outlives_the_call_and_the_call_that_gives_up(
    make_settings: Callable[..., Settings], era: str
) -> None:
    steps = [{"id": 1, "tool": "wait", "arguments": {"seconds": 1}}]
    async with Client(build_server(make_settings(silence=30)), mode=era) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        with anyio.move_on_after(0.2):
            await client.call_tool("execute_plan", {"plan_id": plan_id})
        assert view(await client.call_tool("get_plan", {"plan_id": plan_id}))["status"] == "running"
        with anyio.fail_after(10):
            assert view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["status"] == "succeeded"


async def test_stop_cuts_off_what_is_in_flight(make_settings: Callable[..., Settings], era: str) -> None:
    steps = [
        {"id": 1, "tool": "wait", "arguments": {"seconds": 3000}},
        {"id": 2, "tool": "read_file", "arguments": {"path": "a.txt"}, "depends_on": [1]},
    ]
    async with Client(build_server(make_settings(silence=2)), mode=era) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        run_id = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"]
        with anyio.fail_after(15):
            while "running" not in str(await client.call_tool("get_plan", {"plan_id": plan_id, "view": "list"})):
                await client.call_tool("execute_plan", {"plan_id": plan_id})
            stopped = view(await client.call_tool("stop", {"run_id": run_id}))
            assert view(await client.call_tool("stop", {"run_id": run_id})) == stopped
        full = view(await client.call_tool("get_plan", {"plan_id": plan_id, "view": "full"}))
    assert stopped["status"] == "cancelled"
    assert [step["state"] for step in full["steps"]] == ["failed", "skipped"]


async def test_plans_and_runs_are_resources_with_completions(make_settings: Callable[..., Settings], era: str) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "copy", "steps": COPY}))["plan_id"]
        run_id = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))["run_id"]

        async def read(uri: str) -> str:
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            return content.text

        assert json.loads(await read(f"plan://{plan_id}"))["steps"][0]["tool"] == "read_file"
        assert "s1 --> s2" in await read(f"plan://{plan_id}/graph")
        assert ":::succeeded" in await read(f"plan://{plan_id}/graph")
        assert json.loads(await read(f"run://{run_id}"))["status"] == "succeeded"
        kinds = [json.loads(line)["fact"] for line in (await read(f"run://{run_id}/journal")).splitlines()]
        looked = ["step_started", "claimed", "freed", "step_settled"]
        written = ["step_started", "claimed", "kept", "freed", "step_settled"]
        kinds = [kind for kind in kinds if kind != "run_claimed"]  # which servers of a cluster record
        assert kinds == ["run_created", *looked, *written, "run_ended"]
        index = json.loads(await read("forethought://index"))
        assert index["plans"][0]["uri"] == f"plan://{plan_id}"
        templates = {str(t.uri_template) for t in (await client.list_resource_templates()).resource_templates}
        assert templates == {
            "plan://{plan_id}",
            "plan://{plan_id}/graph",
            "run://{run_id}",
            "run://{run_id}/journal",
            "run://{run_id}/rounds",
            "run://{run_id}/tree",
            "run://{run_id}/tree/graph",
            "run://{run_id}/tree/outline",
        }
        for template, name, whole in (
            ("plan://{plan_id}", "plan_id", plan_id),
            ("run://{run_id}", "run_id", run_id),
        ):
            reference = ResourceTemplateReference(type="ref/resource", uri=template)
            found = await client.complete(reference, {"name": name, "value": whole[:7]})
            assert found.completion.values == [whole]
        with pytest.raises(MCPError, match="plan_x"):
            await read("plan://plan_x")


async def test_a_changed_run_is_noticed_from_2026_on(make_settings: Callable[..., Settings]) -> None:
    steps = [{"id": 1, "tool": "analyze", "arguments": {"question": "?"}}]
    async with Client(build_server(make_settings()), mode="2026-07-28") as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        uri = f"run://{waiting['run_id']}"
        async with client.listen(resource_subscriptions=[uri]) as events:
            answers = [{"order": waiting["waiting_on"][0]["order"], "answer": "ok"}]
            await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers})
            with anyio.fail_after(5):
                async for event in events:
                    assert uri in str(event)
                    break


async def test_a_plan_that_is_handed_in_or_made_is_noticed(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings()), mode="2026-07-28") as client:
        async with client.listen(resource_subscriptions=["forethought://index"]) as events:
            await client.call_tool("create_plan", {"goal": "copy", "steps": COPY})
            with anyio.fail_after(5):
                async for event in events:
                    assert "forethought://index" in str(event)
                    break
        waiting = view(await client.call_tool("create_plan", {"goal": "g"}))
        async with client.listen(resource_subscriptions=[f"plan://{waiting['plan_id']}"]) as events:
            draft = {
                "reasoning": "",
                "steps": [{**COPY[0], "description": "", "depends_on": [], "expected_output": ""}],
            }
            answers = [{"order": waiting["waiting_on"][0]["order"], "answer": draft}]
            made = await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers})
            with anyio.fail_after(5):
                async for event in events:
                    assert waiting["plan_id"] in str(event)
                    break
    assert view(made)["status"] == "ready"


async def test_a_plan_is_linked_to_once_it_is_there(make_settings: Callable[..., Settings]) -> None:
    async with Client(build_server(make_settings())) as client:
        waiting = await client.call_tool("create_plan", {"goal": "g"})
        made = await client.call_tool("create_plan", {"goal": "copy", "steps": COPY})
    assert [content.type for content in waiting.content] == ["text"]
    assert [content.type for content in made.content] == ["text", "resource_link"]


async def test_a_changed_run_is_noticed_by_subscribers_before_2026(
    make_settings: Callable[..., Settings],
) -> None:
    noticed = anyio.Event()
    uri = ""

    async def heard(message: object) -> None:
        if uri and uri in str(message):
            noticed.set()

    steps = [{"id": 1, "tool": "analyze", "arguments": {"question": "?"}}]
    async with Client(build_server(make_settings()), mode="legacy", message_handler=heard) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        uri = f"run://{waiting['run_id']}"
        with pytest.warns(MCPDeprecationWarning):
            await client.subscribe_resource(uri)
        answers = [{"order": waiting["waiting_on"][0]["order"], "answer": "ok"}]
        await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers})
        with anyio.fail_after(5):
            await noticed.wait()
        with pytest.warns(MCPDeprecationWarning):
            await client.unsubscribe_resource(uri)


async def test_a_file_name_that_is_no_text_does_not_stop_a_run(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    (work / os.fsdecode(b"Gr\xfc\xdfe.txt")).write_text("x", encoding="utf-8")
    steps = [
        {"id": 1, "tool": "list_files"},
        {"id": 2, "tool": "analyze", "arguments": {"question": "?", "data": "{{1}}"}},
    ]
    async with Client(build_server(make_settings())) as client:
        plan_id = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))["plan_id"]
        waiting = view(await client.call_tool("execute_plan", {"plan_id": plan_id}))
        assert "Gr??e.txt" in waiting["waiting_on"][0]["context"]
        answers = [{"order": waiting["waiting_on"][0]["order"], "answer": "one file"}]
        done = view(await client.call_tool("report", {"run_id": waiting["run_id"], "answers": answers}))
    assert done["status"] == "succeeded"
