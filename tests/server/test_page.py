"""The page: a person decides with a code that only a terminal shows."""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from tests.server.pages import decided, open_page, token_in

from forethought.gates.decisions import decision_facts
from forethought.journal.codec import gate_body
from forethought.journal.rows import Fact, MessageRow
from forethought.settings import Settings
from forethought.terms import Terms
from forethought_patterns import Decision, Gate

pytestmark = pytest.mark.anyio


async def test_a_right_code_decides_and_is_good_for_one_decision(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), "true", "false") as page:
        one, two = page.gates()
        assert (await page.send(one, decision="approve")).status_code == 200
        assert decided(page, one) == {"verb": "approve", "reason": ""}
        await page.fresh(2)
        used = await page.send(two, decision="approve", code=page.codes[0])
        assert used.status_code == 403
        assert page.gates() == [two]
        sent = await page.send(two, decision="reject", reason="not now", code=page.codes[1].lower().replace("-", " "))
        assert sent.status_code == 200
        assert decided(page, two) == {"verb": "reject", "reason": "not now"}
        with anyio.fail_after(60):
            while not page.ended:
                await anyio.lowlevel.checkpoint()
    assert page.ended == [True], "it closes when nothing waits any more"


async def test_two_forms_with_one_code_are_one_decision(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), "true", "false") as page:
        tokens = [(gate, token_in(await page.look(gate))) for gate in page.gates()]
        got: list[int] = []

        async def send(gate: MessageRow, token: str) -> None:
            got.append((await page.send(gate, token=token, decision="approve", code=page.codes[0])).status_code)

        async with anyio.create_task_group() as tasks:
            for gate, token in tokens:
                tasks.start_soon(send, gate, token)
        assert sorted(got) == [200, 403]
        assert len(page.gates()) == 1


async def test_nothing_is_chosen_and_an_empty_form_decides_nothing(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), "true") as page:
        (gate,) = page.gates()
        assert " checked" not in await page.look(gate)
        empty = await page.send(gate)
        assert empty.status_code == 422
        assert "nothing is chosen" in empty.text
        assert page.gates() == [gate]


async def test_an_edit_is_checked_and_what_was_typed_is_kept(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), "true") as page:
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
        assert decided(page, gate) == {"verb": "edit", "reason": "", "arguments": {"command": "ls"}}


async def test_what_was_decided_elsewhere_is_told(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), "true", "false") as page:
        one, two = page.gates()
        token = token_in(await page.look(one))
        store = page.journal.store
        reject = Decision("reject", by="p", channel="terminal")
        await store.write(one.run, *decision_facts(one, reject, page.journal.records.tools))
        got = await page.send(one, token=token, decision="approve")
        assert got.status_code == 409
        assert "decided or withdrawn meanwhile" in got.text
        assert store.queries.message(one.id).channel == "terminal"
        assert page.gates() == [two]
        gone = await page.http.get(f"{page.url}gate/{one.id}")
        assert gone.status_code == 404
        assert "This does not wait" in gone.text


async def test_each_choice_says_what_it_means_in_a_style_that_the_policy_lets_through(
    make_settings: Callable[..., Settings],
) -> None:
    async with open_page(make_settings(), "true") as page:
        (gate,) = page.gates()
        got = await page.http.get(f"{page.url}gate/{gate.id}")
    for meaning in ("<b>approve</b> go ahead", "<b>edit</b> go ahead", "<b>reject</b> do not", "<b>cancel</b> stop"):
        assert meaning in got.text
    assert '<div class="edit"><label for="arguments">' in got.text, "only who edits is shown it"
    assert '<div><label for="reason">' in got.text
    (style,) = re.findall(r"<style>(.*?)</style>", got.text, re.DOTALL)
    told = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{told}'" in got.headers["content-security-policy"]
    assert "style=" not in got.text, "the policy would not let it through"


async def test_a_plan_and_a_budget_can_be_edited(make_settings: Callable[..., Settings]) -> None:
    terms = Terms(approve_plan=True)
    async with open_page(make_settings(terms=terms), "true", "rm -r build") as page:
        (plan,) = page.gates()
        assert (await page.send(plan, decision="edit", drop="the second")).status_code == 422
        assert (await page.send(plan, decision="edit", steps="[")).status_code == 422
        limit = Gate(
            kind="budget", subject="Too dear.", details={}, reason="", digest="d", choices=("approve", "edit", "reject")
        )
        asked: dict[str, Any] = {"id": "gate_money", "key": "budget", "kind": "gate", "step": None}
        await page.journal.store.write(page.run_id, Fact("asked", {**asked, "body": gate_body(limit)}))
        _, budget = page.gates()
        for wrong in ("much", "nan", "-1"):
            assert (await page.send(budget, decision="edit", limit=wrong)).status_code == 422
        assert page.gates() == [plan, budget]
        assert (await page.send(budget, decision="edit", limit=" 2.5 ")).status_code == 200
        assert decided(page, budget)["arguments"] == {"limit": 2.5}
        await page.fresh(2)
        assert (await page.send(plan, decision="edit", drop="2")).status_code == 200
        assert [step["id"] for step in decided(page, plan)["steps"]] == [1]
