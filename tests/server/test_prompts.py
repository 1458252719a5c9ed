"""Prompts: the common ways to start, with a person's own words filled in."""

from collections.abc import Callable, Mapping

import pytest
from mcp.client import Client
from mcp.types import TextContent

from forethought.settings import Settings
from forethought.surface.server import build_server

pytestmark = pytest.mark.anyio

_STARTS: Mapping[str, tuple[str, dict[str, str]]] = {
    "plan": ("create_plan", {"goal": "tidy {{1}} up"}),
    "run": ("execute_plan", {"goal": "sum the *.csv"}),
    "improve": ("reflect", {"task": "a haiku", "draft": "leaves fall"}),
    "search": ("lats_search", {"goal": "make 24 of 4, 7, 8, 8"}),
    "status": ("get_plan", {}),
}


async def test_each_prompt_names_the_tool_to_start_with_and_keeps_what_a_person_says(
    make_settings: Callable[..., Settings], era: str
) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert set(listed) == set(_STARTS)
        for name, (tool, words) in _STARTS.items():
            (message,) = (await client.get_prompt(name, words)).messages
            assert isinstance(message.content, TextContent)
            assert tool in tools
            assert tool in message.content.text
            assert all(said in message.content.text for said in words.values())
            assert listed[name].title
            assert listed[name].description


async def test_the_tools_that_begin_work_are_always_loaded(make_settings: Callable[..., Settings], era: str) -> None:
    async with Client(build_server(make_settings()), mode=era) as client:
        tools = (await client.list_tools()).tools
    loaded = {tool.name for tool in tools if (tool.meta or {}).get("anthropic/alwaysLoad") is True}
    assert loaded == {"create_plan", "execute_plan", "reflect", "lats_search"}
