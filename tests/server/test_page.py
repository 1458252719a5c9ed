"""The page: a person decides with a code that only a terminal shows; nothing else that reaches it decides anything."""

import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.client.session import ClientSession
from mcp.types import (
    ClientCapabilities,
    ElicitationCapability,
    ElicitRequestParams,
    ElicitRequestURLParams,
    ElicitResult,
    UrlElicitationCapability,
)
from tests.stores import environment
from tests.terminal import converse

from forethought.app import Records, open_records
from forethought.gates.decisions import decision_facts, record_decision
from forethought.gates.desk import codes
from forethought.gates.page import Page
from forethought.journal.codec import gate_body
from forethought.journal.rows import Fact, MessageRow
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.terms import Terms
from forethought_patterns import Decision, Gate, Policy

pytestmark = pytest.mark.anyio

COMMAND = str(Path(sys.executable).parent / "forethought")
SNEAKY = "<script>alert('x')</script> & \u202eexe.txt"


@dataclass
class Opened:
    """An open page, and what its terminal shows."""

    http: httpx2.AsyncClient
    url: str
    codes: list[str]
    records: Records
    run_id: str
    now: list[float]
    ended: list[bool] = field(default_factory=list[bool])

    def gates(self) -> list[MessageRow]:
        return self.records.queries.open_messages(self.run_id, "gate")

    async def look(self, gate: MessageRow) -> str:
        got = await self.http.get(f"{self.url}gate/{gate.id}")
        assert got.status_code == 200
        return got.text

    async def send(self, gate: MessageRow, *, token: str | None = None, **filled: str) -> httpx2.Response:
        """Fill in the form of a gate and send it, with the code that is good now."""
        if token is None:
            token = _token(await self.look(gate))
        given = {"token": token, "code": self.codes[-1], **filled}
        return await self.http.post(f"{self.url}gate/{gate.id}", data={k: v for k, v in given.items() if v})

    async def fresh(self, count: int) -> None:
        """Wait until so many codes were shown."""
        with anyio.fail_after(10):
            while len(self.codes) < count:
                await anyio.lowlevel.checkpoint()


def _token(page: str) -> str:
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found
    return found[1]


@asynccontextmanager
async def _page(settings: Settings, *commands: str, seconds: float = 3600) -> AsyncIterator[Opened]:
    steps = [{"id": n, "tool": "run_command", "arguments": {"command": line}} for n, line in enumerate(commands, 1)]
    async with Client(build_server(settings)) as client:
        made = (await client.call_tool("create_plan", {"goal": "try <b>it</b>", "steps": steps})).structured_content
        plan = dict(made or {})
        waiting = await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
        run_id = str((waiting.structured_content or {})["run_id"])
    shown: list[str] = []
    now = [1000.0]
    with open_records(settings) as records:
        page = Page(
            records.store,
            lambda: records.queries.open_messages(run_id, "gate"),
            record=partial(record_decision, records.store, records.tools),
            show_code=lambda _, code: shown.append(code),
            seconds=seconds,
            clock=lambda: now[0],
        )
        async with anyio.create_task_group() as tasks, httpx2.AsyncClient(trust_env=False) as http:
            opened = Opened(http, "", shown, records, run_id, now)

            async def serve(*, task_status: Any) -> None:
                opened.ended.append(await page.serve(task_status=task_status))

            opened.url = await tasks.start(serve)
            await opened.fresh(1)
            yield opened
            tasks.cancel_scope.cancel()


def _decision(opened: Opened, gate: MessageRow) -> Mapping[str, Any]:
    message = opened.records.queries.message(gate.id)
    assert (message.by, message.channel) == ("person at the page", "page")
    answer: Any = message.answer
    return dict(answer)


async def test_a_right_code_decides_and_is_good_for_one_decision(make_settings: Callable[..., Settings]) -> None:
    async with _page(make_settings(), "true", "false") as page:
        one, two = page.gates()
        assert (await page.send(one, decision="approve")).status_code == 200
        assert _decision(page, one) == {"verb": "approve", "reason": ""}
        await page.fresh(2)
        used = await page.send(two, decision="approve", code=page.codes[0])
        assert used.status_code == 403
        assert page.gates() == [two]
        sent = await page.send(two, decision="reject", reason="not now", code=page.codes[1].lower().replace("-", " "))
        assert sent.status_code == 200
        assert _decision(page, two) == {"verb": "reject", "reason": "not now"}
        with anyio.fail_after(10):
            while not page.ended:
                await anyio.lowlevel.checkpoint()
    assert page.ended == [True], "it closes when nothing waits any more"


async def test_two_forms_with_one_code_are_one_decision(make_settings: Callable[..., Settings]) -> None:
    async with _page(make_settings(), "true", "false") as page:
        tokens = [(gate, _token(await page.look(gate))) for gate in page.gates()]
        got: list[int] = []

        async def send(gate: MessageRow, token: str) -> None:
            got.append((await page.send(gate, token=token, decision="approve", code=page.codes[0])).status_code)

        async with anyio.create_task_group() as tasks:
            for gate, token in tokens:
                tasks.start_soon(send, gate, token)
        assert sorted(got) == [200, 403]
        assert len(page.gates()) == 1


async def test_nothing_is_chosen_and_an_empty_form_decides_nothing(make_settings: Callable[..., Settings]) -> None:
    async with _page(make_settings(), "true") as page:
        (gate,) = page.gates()
        assert " checked" not in await page.look(gate)
        empty = await page.send(gate)
        assert empty.status_code == 422
        assert "nothing is chosen" in empty.text
        assert page.gates() == [gate]


async def test_an_edit_is_checked_and_what_was_typed_is_kept(make_settings: Callable[..., Settings]) -> None:
    async with _page(make_settings(), "true") as page:
        (gate,) = page.gates()
        faulty = await page.send(gate, decision="edit", arguments='{"commnd": "ls"}')
        assert faulty.status_code == 422
        assert "is a required property" in faulty.text
        assert "commnd" in faulty.text
        assert page.codes[-1] not in faulty.text
        assert len(page.codes) == 1, "a fault does not use up the code"
        unclear = await page.send(gate, decision="approve", arguments='{"command": "ls"}')
        assert unclear.status_code == 422
        sent = await page.send(gate, decision="edit", arguments='{"command": "ls"}')
        assert sent.status_code == 200
        assert _decision(page, gate) == {"verb": "edit", "reason": "", "arguments": {"command": "ls"}}


async def test_wrong_codes_are_slowed_down_and_close_the_page_at_last(make_settings: Callable[..., Settings]) -> None:
    async with _page(make_settings(), "true") as page:
        (gate,) = page.gates()
        wrong = 0
        while not page.ended and wrong < 40:
            for _ in range(5):
                got = await page.send(gate, decision="approve", code="WRONG-ONE")
                assert got.status_code == 403
                wrong += 1
                if wrong == 20:
                    break
            if wrong == 20:
                break
            limited = await page.send(gate, decision="approve")
            assert limited.status_code == 403, "not even the right one, for a while"
            assert "Try again in" in limited.text
            page.now[0] += 300
        with anyio.fail_after(10):
            while not page.ended:
                await anyio.lowlevel.checkpoint()
        assert page.ended == [False]
        assert page.gates() == [gate]


@pytest.mark.parametrize("token", ["", "forged", "1000-", "0-" + "a" * 64, "nan-" + "0" * 64])
async def test_a_form_that_is_not_from_this_page_is_refused(make_settings: Callable[..., Settings], token: str) -> None:
    async with _page(make_settings(), "true") as page:
        (gate,) = page.gates()
        got = await page.send(gate, token=token, decision="approve", reason="told by a stranger")
        assert got.status_code == 403
        assert "told by a stranger" not in got.text
        assert page.gates() == [gate]


async def test_a_form_is_good_for_its_own_gate_and_for_a_while(make_settings: Callable[..., Settings]) -> None:
    async with _page(make_settings(), "true", "false", seconds=60) as page:
        one, two = page.gates()
        token = _token(await page.look(one))
        assert (await page.send(two, token=token, decision="approve")).status_code == 403
        page.now[0] += 61
        late = await page.send(one, token=token, decision="approve")
        assert late.status_code == 409
        assert "too long" in late.text
        assert page.gates() == [one, two]
        assert (await page.send(one, decision="approve")).status_code == 200


async def test_other_sites_and_other_names_reach_nothing(make_settings: Callable[..., Settings]) -> None:
    async with _page(make_settings(), "true") as page:
        (gate,) = page.gates()
        form = {"token": _token(await page.look(gate)), "code": page.codes[-1], "decision": "approve"}
        target = f"{page.url}gate/{gate.id}"
        for headers in ({"host": "evil.example"}, {"host": "127.0.0.1"}):
            assert (await page.http.get(target, headers=headers)).status_code == 421
        for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"referer": "http://evil.example/"}):
            assert (await page.http.post(target, data=form, headers=headers)).status_code == 403
        assert (await page.http.request("PUT", target)).status_code == 405
        assert (await page.http.post(target, content=b"x" * 100_000)).status_code == 400
        assert (await page.http.get(f"{page.url}nonsense")).status_code == 404
        assert page.gates() == [gate]
        own = page.url.rstrip("/")
        assert (await page.http.post(target, data=form, headers={"origin": own})).status_code == 200


async def test_the_page_loads_nothing_shows_no_code_and_cannot_be_deceived(
    make_settings: Callable[..., Settings],
) -> None:
    async with _page(make_settings(), f"echo {SNEAKY}") as page:
        (gate,) = page.gates()
        answers = [
            await page.http.get(page.url),
            await page.http.get(f"{page.url}gate/{gate.id}"),
            await page.send(gate, decision="edit", arguments='{"x": "<script>"}'),
            await page.send(gate, decision="approve", code="WRONG"),
        ]
    for got in answers:
        assert "default-src 'none'" in got.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in got.headers["content-security-policy"]
        assert got.headers["x-frame-options"] == "DENY"
        assert got.headers["cache-control"] == "no-store"
        for code in page.codes:
            assert code not in got.text
            assert code.replace("-", "") not in got.text
        assert "<script" not in got.text
        assert "\u202e" not in got.text
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", got.text)
    assert "&lt;script&gt;" in answers[1].text
    assert "\\u202e" in answers[1].text
    assert "Risk: high" in answers[1].text


async def test_what_was_decided_elsewhere_is_told(make_settings: Callable[..., Settings]) -> None:
    async with _page(make_settings(), "true", "false") as page:
        one, two = page.gates()
        token = _token(await page.look(one))
        store = page.records.store
        reject = Decision("reject", by="p", channel="terminal")
        await store.write(one.run, *decision_facts(one, reject, page.records.tools))
        got = await page.send(one, token=token, decision="approve")
        assert got.status_code == 409
        assert "decided meanwhile" in got.text
        assert store.queries.message(one.id).channel == "terminal"
        assert page.gates() == [two]


async def test_each_choice_says_what_it_means_in_a_style_that_the_policy_lets_through(
    make_settings: Callable[..., Settings],
) -> None:
    async with _page(make_settings(), "true") as page:
        (gate,) = page.gates()
        got = await page.http.get(f"{page.url}gate/{gate.id}")
    for meaning in ("<b>approve</b> go ahead", "<b>edit</b> go ahead", "<b>reject</b> do not", "<b>cancel</b> stop"):
        assert meaning in got.text
    (style,) = re.findall(r"<style>(.*?)</style>", got.text, re.DOTALL)
    told = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{told}'" in got.headers["content-security-policy"]
    assert "style=" not in got.text, "the policy would not let it through"


async def test_a_plan_and_a_budget_can_be_edited(make_settings: Callable[..., Settings]) -> None:
    terms = Terms(policy=Policy(approve_plan=True))
    async with _page(make_settings(terms=terms), "true", "rm -r build") as page:
        (plan,) = page.gates()
        assert (await page.send(plan, decision="edit", drop="the second")).status_code == 422
        assert (await page.send(plan, decision="edit", steps="[")).status_code == 422
        limit = Gate(
            kind="budget", subject="Too dear.", details={}, reason="", digest="d", choices=("approve", "edit", "reject")
        )
        asked: dict[str, Any] = {"id": "gate_money", "key": "budget", "kind": "gate", "step": None}
        await page.records.store.write(page.run_id, Fact("asked", {**asked, "body": gate_body(limit)}))
        _, budget = page.gates()
        for wrong in ("much", "nan", "-1"):
            assert (await page.send(budget, decision="edit", limit=wrong)).status_code == 422
        assert page.gates() == [plan, budget]
        assert (await page.send(budget, decision="edit", limit=" 2.5 ")).status_code == 200
        assert _decision(page, budget)["arguments"] == {"limit": 2.5}
        await page.fresh(2)
        assert (await page.send(plan, decision="edit", drop="2")).status_code == 200
        assert [step["id"] for step in _decision(page, plan)["steps"]] == [1]


async def test_a_field_that_comes_twice_or_is_not_in_the_form_decides_nothing(
    make_settings: Callable[..., Settings],
) -> None:
    async with _page(make_settings(), "true") as page:
        (gate,) = page.gates()
        target = f"{page.url}gate/{gate.id}"
        form = f"token={_token(await page.look(gate))}&code={page.codes[-1]}"
        twice = await page.http.post(target, content=f"{form}&decision=reject&decision=approve")
        assert twice.status_code == 400
        for more in ("decision=approve_tool", "decision=approve&by=me", "decision=edit&arguments=[]"):
            assert (await page.http.post(target, content=f"{form}&{more}")).status_code == 422, more
        assert page.gates() == [gate]


async def test_a_form_that_never_comes_whole_is_not_waited_for(make_settings: Callable[..., Settings]) -> None:
    async with _page(make_settings(), "true") as page:
        address = page.url.removeprefix("http://").rstrip("/")
        head = f"POST /gate/gate_x HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100\r\n\r\ntoken="
        async with await anyio.connect_tcp("127.0.0.1", int(address.split(":")[1])) as connection:
            await connection.send(head.encode())
            with anyio.fail_after(10):
                assert b" 400 " in await connection.receive()


class _OnlyOpens(Client):
    """A client that can have a person open an address, and cannot show a form."""

    async def _build_session(self, exit_stack: AsyncExitStack) -> ClientSession:
        session = await super()._build_session(exit_stack)
        build = session._build_capabilities

        def narrowed(version: str) -> ClientCapabilities:
            opens = ElicitationCapability(url=UrlElicitationCapability())
            return build(version).model_copy(update={"elicitation": opens})

        session._build_capabilities = narrowed  # type: ignore[method-assign]  # the SDK always offers forms as well
        return session


async def test_a_client_that_can_only_open_an_address_is_given_the_servers_own_page(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    """The code is nowhere in what the client sees: a person reads it in a terminal."""
    settings = make_settings(silence=15)
    opened: list[str] = []

    async def person(url: str) -> None:
        with anyio.fail_after(15):
            while not (shown := codes(settings.home)):
                await anyio.lowlevel.checkpoint()
        ((address, code),) = shown
        assert address == url
        async with httpx2.AsyncClient(trust_env=False) as http:
            (path,) = re.findall(r'href="(/gate/\w+)"', (await http.get(url)).text)
            target = url.rstrip("/") + path
            token = _token((await http.get(target)).text)
            sent = await http.post(target, data={"token": token, "code": code, "decision": "approve"})
            assert sent.status_code == 200

    async with anyio.create_task_group() as tasks:

        async def browser(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
            assert isinstance(params, ElicitRequestURLParams)
            opened.append(params.url)
            tasks.start_soon(person, params.url)
            return ElicitResult(action="accept")

        async with _OnlyOpens(build_server(settings), mode=era, elicitation_callback=browser) as client:
            steps = [{"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}]
            plan = (await client.call_tool("create_plan", {"goal": "g", "steps": steps})).structured_content or {}
            with anyio.fail_after(20):
                done = await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
    assert (done.structured_content or {})["status"] == "succeeded"
    assert not (work / "old.txt").exists()
    assert len(opened) == 1
    assert codes(settings.home) == []


def test_the_code_of_a_page_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        file = tmp_path / "pages" / socket.gethostname() / "1.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"url": address, "code": "AAAA-BBBB"}), encoding="utf-8")
        assert codes(tmp_path) == [(address, "AAAA-BBBB")]
    assert codes(tmp_path) == []
    assert not file.exists()


def test_the_page_needs_a_terminal(tmp_path: Path) -> None:
    env = {**os.environ, "FORETHOUGHT_HOME": str(tmp_path)}
    for flag in ("--page", "--code"):
        done = subprocess.run(
            [COMMAND, "decide", flag], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 3
        assert "needs a terminal" in done.stderr


async def test_decide_page_in_a_terminal_lets_the_run_go_on(make_settings: Callable[..., Settings], work: Path) -> None:
    settings = make_settings()
    async with Client(build_server(settings)) as client:
        steps = [{"id": 1, "tool": "delete_file", "arguments": {"path": "old.txt"}}]
        plan = (await client.call_tool("create_plan", {"goal": "g", "steps": steps})).structured_content or {}
        await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})
        status, screen = await anyio.to_thread.run_sync(_in_a_terminal, settings, "interrupt")
        assert status == 3, screen
        assert "Left waiting: 1" in screen
        status, screen = await anyio.to_thread.run_sync(_in_a_terminal, settings, "decide")
        assert status == 0, screen
        assert "approve: recorded" in screen
        with anyio.fail_after(20):
            while True:
                run = (await client.call_tool("execute_plan", {"plan_id": plan["plan_id"]})).structured_content or {}
                if run["status"] == "succeeded":
                    break
    assert not (work / "old.txt").exists()


def _in_a_terminal(settings: Settings, then: str) -> tuple[int, str]:
    """`forethought decide --page`, and once it shows a code a decision with it, or Ctrl-C."""
    folders = os.pathsep.join(map(str, settings.folders))
    told = {**environment(settings), "TERM": "xterm", "COLUMNS": "60", "FORETHOUGHT_FOLDERS": folders}
    done: list[str] = []

    def react(screen: str) -> str | None:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
        found = re.search(r"Decide at (http://\S+) with this code, once: (\w{4}-\w{4})", plain)
        if not found or done:
            return None
        done.append(found[2])
        if then == "interrupt":
            return "\x03"
        _send(found[1], found[2])
        return None

    return converse([COMMAND, "decide", "--page"], told, react)


def _send(url: str, code: str) -> None:
    with httpx2.Client(trust_env=False) as http:
        (path,) = re.findall(r'href="(/gate/\w+)"', http.get(url).text)
        target = url.rstrip("/") + path
        form = {"token": _token(http.get(target).text), "code": code, "decision": "approve"}
        assert http.post(target, data=form).status_code == 200
