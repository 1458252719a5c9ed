"""Nothing else that reaches the page decides anything, or deceives who reads it."""

import re
from collections.abc import Callable

import anyio
import pytest
from tests.server.pages import open_page, token_in

from forethought.settings import Settings

pytestmark = pytest.mark.anyio
SNEAKY = "<script>alert('x')</script> & \u202eexe.txt"


@pytest.mark.parametrize("token", ["", "forged", "1000-", "0-" + "a" * 64, "nan-" + "0" * 64])
async def test_a_form_that_is_not_from_this_page_is_refused(make_settings: Callable[..., Settings], token: str) -> None:
    async with open_page(make_settings(), "true") as page:
        (gate,) = page.gates()
        got = await page.send(gate, token=token, decision="approve", reason="told by a stranger")
        assert got.status_code == 403
        assert "told by a stranger" not in got.text
        assert page.gates() == [gate]


async def test_a_form_is_good_for_its_own_gate_and_for_a_while(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), "true", "false", seconds=60) as page:
        one, two = page.gates()
        token = token_in(await page.look(one))
        assert (await page.send(two, token=token, decision="approve")).status_code == 403
        page.now[0] += 61
        late = await page.send(one, token=token, decision="approve")
        assert late.status_code == 409
        assert "too long" in late.text
        assert page.gates() == [one, two]
        assert (await page.send(one, decision="approve")).status_code == 200


async def test_other_sites_and_other_names_reach_nothing(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), "true") as page:
        (gate,) = page.gates()
        form = {"token": token_in(await page.look(gate)), "code": page.codes[-1], "decision": "approve"}
        target = f"{page.url}gate/{gate.id}"
        for headers in ({"host": "evil.example"}, {"host": "127.0.0.1"}):
            assert (await page.http.get(target, headers=headers)).status_code == 421
        for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"referer": "http://evil.example/"}):
            assert (await page.http.post(target, data=form, headers=headers)).status_code == 403
        for method, address, status, title in (
            ("PUT", target, 405, "This cannot be done here"),
            ("GET", f"{page.url}nonsense", 404, "There is nothing here"),
        ):
            led_nowhere = await page.http.request(method, address)
            assert led_nowhere.status_code == status
            assert title in led_nowhere.text
        for body in (b"x" * 100_000, b'{"decision": "approve"}', b"decision=reject&decision=", b"\xff=1"):
            assert (await page.http.post(target, content=body)).status_code == 400, body[:30]
        assert page.gates() == [gate]
        own = page.url.rsplit("/", 2)[0]
        assert (await page.http.post(target, data=form, headers={"origin": own})).status_code == 200


async def test_the_page_loads_nothing_shows_no_code_and_cannot_be_deceived(
    make_settings: Callable[..., Settings],
) -> None:
    async with open_page(make_settings(), f"echo {SNEAKY}") as page:
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


async def test_a_field_that_comes_twice_or_is_not_in_the_form_decides_nothing(
    make_settings: Callable[..., Settings],
) -> None:
    async with open_page(make_settings(), "true") as page:
        (gate,) = page.gates()
        target = f"{page.url}gate/{gate.id}"
        form = f"token={token_in(await page.look(gate))}&code={page.codes[-1]}"
        twice = await page.http.post(target, content=f"{form}&decision=reject&decision=approve")
        assert twice.status_code == 400
        for more in ("decision=approve_tool", "decision=approve&by=me", "decision=edit&arguments=[]"):
            assert (await page.http.post(target, content=f"{form}&{more}")).status_code == 422, more
        assert page.gates() == [gate]


async def test_a_form_that_never_comes_whole_is_not_waited_for(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), "true") as page:
        address, place = page.url.removeprefix("http://").rstrip("/").split("/")
        head = f"POST /{place}/ HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100\r\n\r\ntoken="
        async with await anyio.connect_tcp("127.0.0.1", int(address.split(":")[1])) as connection:
            await connection.send(head.encode())
            with anyio.fail_after(60):
                assert b" 400 " in await connection.receive()
