"""Research the top 3 competitors of X, compare pricing, write a summary: over a search server and pages on loopback, by
the calling agent, by an endpoint, and delegated to an agent of either kind."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client import Client
from tests.endpoints.fake import Body, Endpoint, Reply, said
from tests.endpoints.test_acting import native, pairs
from tests.server.asking import DONE, view
from tests.tools.test_web import Site, page, serving

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

GOAL = "Research the top 3 competitors of Deskly, compare pricing, write a summary to summary.md"
PRICES = {"Oak": 249, "Pine": 229, "Elm": 199}
SUMMARY = "Elm is cheapest: 199 euros; Pine asks 229, Oak 249."


@pytest.fixture
def web() -> Iterator[Site]:
    """A search server, and the pages that it finds."""
    with serving("127.0.0.1") as site:
        found = [{"title": name, "url": site.url(f"/{name}"), "content": "a competitor of Deskly"} for name in PRICES]
        site.pages["/search"] = page(json.dumps({"results": found}), "application/json")
        for name, price in PRICES.items():
            text = f"{name} sells desks for {price} euros. " * 20
            site.pages[f"/{name}"] = page(f"<html><body><article><p>{text}</p></article></body></html>")
        yield site


def plan(*steps: Mapping[str, Any]) -> dict[str, Any]:
    return {"reasoning": "", "steps": list(steps)}


def step(number: int, tool: str, *after: int, **arguments: Any) -> dict[str, Any]:
    more = {"description": f"step {number}", "depends_on": list(after), "expected_output": ""}
    return {"id": number, "tool": tool, "arguments": arguments, **more}


SEARCH = step(1, "web_search", query="competitors of Deskly", max_results=3)
FETCH = [step(n, "fetch_url", url=f"{{{{1.{n - 2}.url}}}}") for n in (2, 3, 4)]
COMPARE = step(5, "write", brief="compare the prices", material="{{2}} {{3}} {{4}}")
SAVE = step(6, "write_file", path="summary.md", content="{{5}}")


def flat(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The plan as an endpoint writes it."""
    more: dict[str, Any] = {"confidence": 1, "strategy": "direct"}
    return plan(*({**each, **more, "arguments": pairs(each["arguments"])} for each in steps))


def settings_of(make: Callable[..., Settings], web: Site, **more: Any) -> Settings:
    return make(searxng_url=web.url(""), allow_private=True, **more)


async def answered(client: Client, says: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    """The end of a run of the goal, once the calling agent has answered every order in full."""
    told = view(await client.call_tool("execute_plan", {"goal": GOAL}))
    while told["status"] in ("waiting", "running"):
        orders = [order for order in told.get("waiting_on", ()) if "schema" in order]
        answers = [{"order": order["order"], "answer": says(order)} for order in orders]
        told = view(await client.call_tool("report", {"run_id": told["run_id"], "answers": answers}))
    return told


def summarised(done: Mapping[str, Any], work: Path, web: Site) -> None:
    assert done["status"] == "succeeded", done
    assert (work / "summary.md").read_text(encoding="utf-8") == SUMMARY
    assert {path for path, _ in web.seen if not path.startswith("/search")} == {"/Oak", "/Pine", "/Elm"}


async def test_in_host_mode_the_calling_agent_plans_and_writes_and_the_server_does_the_rest(
    make_settings: Callable[..., Settings], web: Site, work: Path
) -> None:
    def says(order: Mapping[str, Any]) -> Any:
        if order["role"] == "planner":
            return plan(SEARCH, *FETCH, COMPARE, SAVE)
        if order["role"] == "joiner":
            return DONE
        assert all(f"{price} euros" in order["context"] for price in PRICES.values())
        return SUMMARY

    async with Client(build_server(settings_of(make_settings, web))) as client:
        summarised(await answered(client, says), work, web)


WHOLE = step(1, "delegate", task=GOAL, tools=["web_search", "fetch_url"])
SAVE_IT = {**SAVE, "id": 2, "arguments": {"path": "summary.md", "content": "{{1}}"}}


def looked_up(body: Body) -> Reply:
    """What a model does that is the agent of all of it."""
    results = [turn["content"] for turn in body["messages"] if turn["role"] == "tool"]
    if not results:
        return native(("web_search", {"query": "competitors of Deskly", "max_results": 3}))
    urls = [each["url"] for each in json.loads(results[0])]
    if len(results) <= len(urls):
        return native(("fetch_url", {"url": urls[len(results) - 1]}))
    prices = {int(found[1]) for text in results[1:] if (found := re.search(r"for ([0-9]+) euros", text))}
    return native(SUMMARY if prices == set(PRICES.values()) else "I could not find the prices")


@pytest.mark.parametrize("steps", [[SEARCH, *FETCH, COMPARE, SAVE], [WHOLE, SAVE_IT]], ids=["by steps", "delegated"])
async def test_an_endpoint_does_all_of_it_by_steps_or_as_an_agent_with_the_tools_that_the_planner_chose(
    make_settings: Callable[..., Settings],
    web: Site,
    work: Path,
    endpoint: Endpoint,
    steps: Sequence[Mapping[str, Any]],
) -> None:
    offered: list[set[str]] = []

    def reply(body: Body) -> Reply:
        system = body["messages"][0]["content"]
        if "You are the planner" in system:
            return said(json.dumps(flat(steps)))
        if "You are the joiner" in system:
            return said(json.dumps(DONE))
        if "You are the agent" not in system:
            return said(SUMMARY)
        offered.append({tool["function"]["name"] for tool in body["tools"]})
        return looked_up(body)

    endpoint.reply = reply
    settings = settings_of(make_settings, web, model="m", base_url=endpoint.base_url)
    async with Client(build_server(settings)) as client:
        done = view(await client.call_tool("execute_plan", {"goal": GOAL}))
        while done["status"] == "running":
            done = view(await client.call_tool("execute_plan", {"plan_id": done["plan_id"]}))
    summarised(done, work, web)
    assert offered == ([{"web_search", "fetch_url"}] * 5 if steps[0] is WHOLE else [])
    assert any(
        "delegate(task" in body["messages"][0]["content"] + body["messages"][1]["content"] for body in endpoint.asked
    )


async def test_each_competitor_is_delegated_to_the_calling_agent_and_its_own_tools(
    make_settings: Callable[..., Settings], web: Site, work: Path
) -> None:
    look = [step(n, "delegate", task="Find the price of a desk", material=f"{{{{1.{n - 2}.url}}}}") for n in (2, 3, 4)]

    def says(order: Mapping[str, Any]) -> Any:
        if order["role"] == "planner":
            return plan(SEARCH, *look, COMPARE, SAVE)
        if order["role"] == "joiner":
            return DONE
        if order["role"] == "executor":
            assert all(f'"price": {price}' in order["context"] for price in PRICES.values())
            return SUMMARY
        url = re.search(r"http\S+", order["context"])
        assert url is not None
        price = re.search(r"for ([0-9]+) euros", httpx2.get(url[0]).text)
        assert price is not None
        return {"price": int(price[1])}

    async with Client(build_server(settings_of(make_settings, web))) as client:
        summarised(await answered(client, says), work, web)
