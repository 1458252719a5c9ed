"""The page in the browser: who does not have the code sees nothing, decides nothing, and locks nobody out."""

import re
from collections.abc import Callable

import anyio
import httpx2
import pytest
from tests.server.pages import Opened, browser, decided, open_page, token_in

from forethought.settings import Settings

pytestmark = pytest.mark.anyio
COMMAND = "echo the-waiting-command"


async def _wrong(page: Opened, http: httpx2.AsyncClient, count: int) -> list[int]:
    return [(await page.knock(http, code=f"WRONG-{number:03}")).status_code for number in range(count)]


async def test_nothing_of_what_waits_is_shown_before_the_code(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), COMMAND) as page, browser() as stranger:
        (gate,) = page.gates()
        origin, place, _ = page.url.rsplit("/", 2)
        seen = [await stranger.get(f"{page.url}{rest}") for rest in ("", f"gate/{gate.id}", "gate/gate_x", "gate/")]
        seen += [await stranger.get(f"{origin}/{rest}") for rest in ("", "gate/x", f"gate/{gate.id}", f"{place}x/")]
        seen.append(await stranger.get(f"{origin}/{place}"))
        assert [got.status_code for got in seen] == [200, 200, 200, 404, 404, 404, 404, 404, 404]
        form = {"token": token_in(seen[0].text), "code": page.codes[-1], "decision": "approve"}
        blind = await stranger.post(f"{page.url}gate/{gate.id}", data=form)
        assert blind.status_code == 403, "a code decides only where the question was shown"
        for got in (*seen, blind):
            assert "waiting-command" not in got.text
            assert "run_command" not in got.text
            assert "try &lt;b&gt;" not in got.text, "nor the goal"
        assert page.gates() == [gate]
        assert "run_command" in (await page.knock(stranger)).text


async def test_an_address_that_was_guessed_is_like_any_other_that_is_none(
    make_settings: Callable[..., Settings],
) -> None:
    async with open_page(make_settings(), COMMAND) as page, browser() as stranger:
        origin, place, _ = page.url.rsplit("/", 2)
        assert re.fullmatch(r"[\w-]{32}", place)
        answers = [await stranger.get(f"{origin}{path}") for path in ("/", "/x/", f"/{place[:-1]}/", "/x/gate/gate_y")]
        assert {got.status_code for got in answers} == {404}
        assert len({got.text for got in answers}) == 1
        for got in answers:
            assert place not in got.text


async def test_the_session_is_bound_to_its_address_and_out_of_reach_of_scripts_and_other_sites(
    make_settings: Callable[..., Settings],
) -> None:
    async with open_page(make_settings(), COMMAND) as page, browser() as stranger:
        form = {"token": token_in((await stranger.get(page.url)).text), "code": page.codes[-1]}
        got = await stranger.post(page.url, data=form, follow_redirects=False)
        cookie = got.headers["set-cookie"].lower()
        place = page.url.rsplit("/", 2)[1].lower()
        assert f"path=/{place}/" in cookie
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        foreign = await stranger.post(page.url, data=form, headers={"origin": "http://evil.example"})
        assert foreign.status_code == 403
        async with browser() as forger:
            forged = await forger.get(page.url, headers={"cookie": "session=forged"})
        assert "run_command" not in forged.text


async def test_the_door_takes_only_its_own_form_and_that_for_a_while(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), COMMAND, seconds=60) as page, browser() as stranger:
        (gate,) = page.gates()
        own = token_in((await stranger.get(page.url)).text)
        for token in ("", "forged", token_in(await page.look(gate))):
            refused = await page.knock(stranger, token=token)
            assert refused.status_code == 403
            assert "This form is not from this page, or too old." in refused.text
        page.now[0] += 61
        assert (await page.knock(stranger, token=own)).status_code == 403
        assert (await page.knock(stranger)).status_code == 200


async def test_who_was_let_in_may_look_for_half_a_day(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), COMMAND) as page:
        page.now[0] += 12 * 3600
        assert "run_command" in (await page.http.get(page.url)).text
        page.now[0] += 1
        assert "run_command" not in (await page.http.get(page.url)).text
        assert (await page.knock()).status_code == 200


async def test_wrong_codes_slow_down_who_sends_them_and_nobody_else(make_settings: Callable[..., Settings]) -> None:
    async with open_page(make_settings(), COMMAND, "true") as page, browser() as stranger, browser() as late:
        one, two = page.gates()
        assert await _wrong(page, stranger, 6) == [403] * 6
        assert "Try again in" in (await page.knock(stranger)).text, "not even the right one, for a while"
        assert (await page.knock(late)).status_code == 200
        assert (await page.send(one, decision="approve")).status_code == 200
        page.now[0] += 31
        assert (await page.knock(stranger)).status_code == 200
        await page.fresh(2)
        for _ in range(5):
            assert (await page.send(two, decision="approve", code="WRONG-ONE")).status_code == 403
        waits = await page.send(two, decision="approve")
        assert waits.status_code == 403
        assert "Try again in" in waits.text
        page.now[0] += 31
        assert (await page.send(two, decision="approve")).status_code == 200
        assert decided(page, two)["verb"] == "approve"


async def test_each_further_wait_is_twice_as_long_whatever_sender_is_claimed(
    make_settings: Callable[..., Settings],
) -> None:
    async with open_page(make_settings(), COMMAND) as page, browser() as stranger:
        for wait in (30, 60):
            for number in range(5):
                stranger.headers["x-forwarded-for"] = f"10.0.{wait}.{number}"
                assert (await page.knock(stranger, code="WRONG-ONE")).status_code == 403
            page.now[0] += wait - 1
            assert "Try again in 1 seconds" in (await page.knock(stranger)).text
            page.now[0] += 1
        let_in = await page.knock(stranger)
        assert let_in.status_code == 200
        assert "server" not in let_in.headers


async def test_many_who_send_wrong_codes_are_left_behind_and_who_was_let_in_stays(
    make_settings: Callable[..., Settings],
) -> None:
    async with open_page(make_settings(), COMMAND) as page:
        (gate,) = page.gates()
        first, form = page.url, await page.look(gate)
        for _ in range(4):  # every five from a connection of their own
            async with browser() as another:
                await _wrong(page, another, 5)
        await page.fresh(2)
        assert page.url != first, "the terminal shows the new address, with a new code"
        async with browser() as another:
            assert (await another.get(first)).status_code == 404
            assert (await page.knock(another)).status_code == 200
        sent = {"token": token_in(form), "decision": "approve"}
        old = await page.http.post(f"{first}gate/{gate.id}", data={**sent, "code": page.codes[0]})
        assert old.status_code == 403, "the code that was guessed at is void"
        new = await page.http.post(f"{first}gate/{gate.id}", data={**sent, "code": page.codes[1]})
        assert new.status_code == 200
        with anyio.fail_after(60):
            while not page.ended:
                await anyio.lowlevel.checkpoint()
