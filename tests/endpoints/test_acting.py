"""A step that a model of ours does in a loop of calls: in the endpoint's own form if it has one, else in a schema.

Whole runs over a server, with an endpoint on loopback that says what it is told.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from mcp.client import Client
from tests.endpoints.fake import Body, Endpoint, Reply, event, model_at, refused, said
from tests.server.asking import approve, in_full, make_plan, names_in, view
from tests.server.thinking import read

from forethought.models.acting import Functions, acting
from forethought.models.replies import reply_of
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_patterns.agent import Bounds
from forethought_tools import JSON, Question, Risk, Role, Tool, Turn

pytestmark = pytest.mark.anyio

Act = tuple[str, Mapping[str, Any]] | str
"""A call of a tool, or the answer."""


def native(act: Act) -> Reply:
    """What an endpoint sends that has calls of its own."""
    if isinstance(act, str):
        return said(act)
    call = {"name": act[0], "arguments": json.dumps(act[1])}
    message: dict[str, Any] = {"tool_calls": [{"id": "c", "type": "function", "function": call}]}
    return 200, {"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"content": None, **message}}]}


NOTHING: dict[str, Any] = {}


def in_schema(act: Act) -> Reply:
    """What one sends that has not."""
    tool, given = ("answer", NOTHING) if isinstance(act, str) else act
    return said(json.dumps({"thought": "", "tool": tool, "arguments": pairs(given), "answer": answer_of(act)}))


def answer_of(act: Act) -> str:
    return act if isinstance(act, str) else ""


def pairs(arguments: Mapping[str, Any]) -> list[dict[str, str]]:
    """Arguments as an endpoint writes them in a schema."""
    return [
        {"name": name, "value": value if isinstance(value, str) else json.dumps(value)}
        for name, value in arguments.items()
    ]


def doing(*acts: Act, native_calls: bool = True) -> Callable[[Body], Reply]:
    """Does these one after the other."""
    left = iter(acts)

    def reply(body: Body) -> Reply:
        if "tools" in body:
            return native(next(left)) if native_calls else refused("tools are not supported by this model")
        return in_schema(next(left))

    return reply


def step(**more: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {"task": "find the word in a.txt"}
    for name in ("tools", "writes"):
        if name in more:
            arguments[name] = more.pop(name)
    return {"id": 1, "tool": "delegate", "arguments": arguments, **more}


async def ran(client: Client, *steps: dict[str, Any], **terms: Any) -> dict[str, Any]:
    plan = await make_plan(client, list(steps))
    return view(await client.call_tool("execute_plan", {"plan_id": plan, "replan": "never", **terms}))


@pytest.mark.parametrize("native_calls", [True, False])
async def test_a_model_does_a_step_call_by_call_and_its_transcript_can_be_read(
    make_settings: Callable[..., Settings], endpoint: Endpoint, native_calls: bool
) -> None:
    endpoint.reply = doing(
        ("list_files", {}), ("read_file", {"path": "a.txt"}), "The word is alpha.", native_calls=native_calls
    )
    settings = make_settings(model="m", base_url=endpoint.base_url)
    async with Client(build_server(settings)) as client:
        done = await ran(client, step())
        assert done["status"] == "succeeded", done
        assert "The word is alpha." in json.dumps(done["answer"])
        full = await in_full(client, done)
        assert full["models"]["agent"].startswith("m: ")
        transcript = json.loads(await read(client, f"run://{done['run_id']}/steps/1/transcript"))
    assert [turn["tool"] for turn in transcript if "tool" in turn] == ["list_files", "read_file"]
    assert "alpha" in json.dumps(transcript[-2])
    assert transcript[-1]["answer"] == "The word is alpha."
    offered = [body for body in endpoint.asked if "tools" in body]
    names = {tool["function"]["name"] for tool in offered[0]["tools"]}
    assert "read_file" in names
    assert not names & {"write_file", "delete_file", "run_command", "write", "delegate"}, (
        "only what reads, unless named"
    )
    if native_calls:
        assert [turn["role"] for turn in endpoint.asked[-1]["messages"]] == [
            "system",
            "user",
            *["assistant", "tool"] * 2,
        ]
    else:
        assert len(offered) == 1, "what is refused is not sent again"


async def test_each_call_of_an_agent_passes_its_gate_and_can_be_undone(
    make_settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    settings = make_settings(model="m", base_url=endpoint.base_url)
    endpoint.reply = doing(
        ("delete_file", {"path": "old.txt"}), ("write_file", {"path": "b.txt", "content": "new"}), "done"
    )
    named = ["delete_file", "write_file"]
    async with Client(build_server(settings)) as client:
        waiting = await ran(client, step(tools=named))
        (gate,) = waiting["waiting_on"]
        assert gate["tool"] == "delete_file"
        assert "old.txt" in gate["arguments"]
    async with Client(build_server(settings), elicitation_callback=approve) as client:
        done = view(await client.call_tool("execute_plan", {"plan_id": waiting["plan_id"]}))
        assert done["status"] == "succeeded", done
        assert names_in(settings.folders[0], "*.txt") == ["a.txt", "b.txt"]
        await client.call_tool("rollback", {"run_id": done["run_id"]})
    assert names_in(settings.folders[0], "*.txt") == ["a.txt"]


READ: Act = ("read_file", {"path": "a.txt"})
ENDLESS: list[tuple[list[Act], dict[str, int], str]] = [
    ([READ, READ], {}, "again with the very same arguments"),
    ([READ, ("list_files", NOTHING), ("calculate", NOTHING)], {"calls": 2}, "the 2 calls that it may"),
    ([READ, "alpha"], {"tokens": 20}, "tokens, of 20"),
]


@pytest.mark.parametrize(("acts", "limits", "why"), ENDLESS)
async def test_a_loop_that_goes_round_or_reaches_its_bound_has_failed_with_what_it_has(
    make_settings: Callable[..., Settings], endpoint: Endpoint, acts: Sequence[Act], limits: Mapping[str, int], why: str
) -> None:
    settings = make_settings(model="m", base_url=endpoint.base_url, terms=Terms(agent=Bounds(**limits)))
    endpoint.reply = doing(*acts)
    async with Client(build_server(settings)) as client:
        done = await ran(client, step())
    assert done["status"] == "failed"
    assert why in done["error"]
    assert "read_file" in done["error"] or "tokens" in limits


async def test_what_fails_is_told_to_the_agent_and_it_goes_on(
    make_settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    endpoint.reply = doing(
        ("no_such_tool", {}), ("read_file", {"path": "missing.txt"}), ("read_file", {"wrong": 1}), "there is none"
    )
    settings = make_settings(model="m", base_url=endpoint.base_url)
    async with Client(build_server(settings)) as client:
        done = await ran(client, step())
    assert done["status"] == "succeeded"
    told = [turn["content"] for turn in endpoint.asked[-1]["messages"] if turn["role"] == "tool"]
    assert len(told) == 3
    assert all(each.startswith("It failed: ") for each in told)


async def test_where_the_plan_says_what_may_be_written_nothing_else_is(
    make_settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    endpoint.reply = doing(
        ("write_file", {"path": "other.txt", "content": "x"}), ("write_file", {"path": "b.txt", "content": "x"}), "done"
    )
    settings = make_settings(model="m", base_url=endpoint.base_url)
    async with Client(build_server(settings)) as client:
        done = await ran(client, step(tools=["write_file"], writes=["b.txt"]))
    assert done["status"] == "succeeded", done
    assert names_in(settings.folders[0], "*.txt") == ["a.txt", "b.txt", "old.txt"]


async def test_the_check_judges_a_model_and_it_is_told_what_was_wrong(
    make_settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    endpoint.reply = doing("I do not know", '{"word": "alpha"}')
    settings = make_settings(model="m", base_url=endpoint.base_url)
    async with Client(build_server(settings)) as client:
        plan = await make_plan(client, [step(check={"at": "word", "matches": "alpha"})])
        done = view(await client.call_tool("execute_plan", {"plan_id": plan}))
    assert done["status"] == "succeeded", done
    assert "It was tried before" in json.dumps(endpoint.asked[-1]["messages"])


async def test_what_a_model_gave_its_agent_at_the_last_moment_gives_it_no_more_tools(
    make_settings: Callable[..., Settings], endpoint: Endpoint
) -> None:
    """The plan was looked at with these tools: arguments that are filled in later name no others."""
    endpoint.reply = doing(("delete_file", {"path": "old.txt"}), "done")
    settings = make_settings(model="m", base_url=endpoint.base_url)
    async with Client(build_server(settings)) as client:
        done = await ran(client, step(tools=["read_file"]))
    assert done["status"] == "succeeded"
    assert (settings.folders[0] / "old.txt").exists()


def _streamed(body: Body) -> Iterator[str]:
    first = {"index": 0, "id": "c", "function": {"name": "fs_read", "arguments": '{"path": '}}
    yield event({"delta": {"role": "assistant", "tool_calls": [first]}})
    yield event({"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '"a.txt"}'}}]}})
    yield event({"delta": {}, "finish_reason": "tool_calls"})
    yield "data: [DONE]\n\n"


async def test_calls_come_in_pieces_and_under_names_that_endpoints_take(endpoint: Endpoint) -> None:
    async def run(_: Mapping[str, JSON], __: object) -> JSON:
        return None

    reading = Tool("fs/read", "", {"type": "object"}, run, Risk.LOW)
    turns = [Turn("fs/read", {"path": "b.txt"}, "beta")]
    question = Question(Role.AGENT, "i", "c", {"type": "object"}, tools=[reading], task="t", turns=turns)
    endpoint.reply = lambda body: (200, _streamed(body))
    async with model_at(endpoint.base_url) as model:
        answer = await model.answer(question)
    assert answer.value == {"thought": "", "tool": "fs/read", "arguments": {"path": "a.txt"}, "answer": ""}
    sent = json.dumps(endpoint.asked[0])
    assert "fs/read" not in sent
    assert "fs_read" in sent


def _reading() -> Functions:
    async def run(_: Mapping[str, JSON], __: object) -> JSON:
        return None

    return Functions.of([Tool("read_file", "", {"type": "object"}, run, Risk.LOW)])


def _called(name: str, arguments: str) -> Reply:
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return 200, {"choices": [{"finish_reason": "tool_calls", "message": {"content": None, "tool_calls": [call]}}]}


A_FILE: JSON = {"path": "a.txt"}


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ('{"path": "a.txt"}', A_FILE),
        ('"{\\"path\\": \\"a.txt\\"}"', A_FILE),
        ('{"path": "a.txt"}{"path": "b.txt"}', A_FILE),
        ("", {}),
        ("null", {}),
        ('{"path": a.t', '{"path": a.t'),
        ('["a.txt"]', '["a.txt"]'),
        ("a.txt", "a.txt"),
    ],
)
def test_arguments_are_read_as_they_are_meant_and_never_taken_for_none(written: str, arguments: JSON) -> None:
    """Without its arguments a call is another one: `delete` of everything, in place of one."""
    value = acting(reply_of(_called("read_file", written)[1]), _reading())
    assert value == {"thought": "", "tool": "read_file", "arguments": arguments, "answer": ""}


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "read_file", "arguments": {"path": "a.txt"}}',
        '{"tool": "read_file", "parameters": {"path": "a.txt"}}',
        '<tool_call>\n{"name": "read_file", "arguments": {"path": "a.txt"}}\n</tool_call>',
        '```json\n{"name": "read_file", "arguments": "{\\"path\\": \\"a.txt\\"}"}\n```',
    ],
)
def test_a_call_that_is_written_as_text_is_a_call_and_no_answer(text: str) -> None:
    value = acting(reply_of(said(text)[1]), _reading())
    assert value == {"thought": "", "tool": "read_file", "arguments": A_FILE, "answer": ""}


@pytest.mark.parametrize(
    "text",
    ['{"name": "Ada", "arguments": {}}', '{"name": "read_file", "size": 3}', "read_file(a.txt) says alpha", '{"a": 1}'],
)
def test_an_answer_that_is_like_a_call_is_an_answer(text: str) -> None:
    value = acting(reply_of(said(text)[1]), _reading())
    assert value == {"thought": "", "tool": "answer", "arguments": {}, "answer": text}


@pytest.mark.parametrize("arguments", ['{"answer": "alpha"}', '{"text": "alpha"}'])
def test_an_answer_that_comes_as_a_call_is_the_answer(arguments: str) -> None:
    value = acting(reply_of(_called("answer", arguments)[1]), _reading())
    assert value == {"thought": "", "tool": "answer", "arguments": {}, "answer": "alpha"}
