"""Tools of other servers come and go; what is built in stays."""

from collections.abc import Mapping

from forethought_tools import JSON, Answerer, Registry, Risk, Tool


async def _done(_: Mapping[str, JSON], __: Answerer) -> JSON:
    return "done"


def _tool(name: str, source: str = "") -> Tool:
    return Tool(name, "", {"type": "object"}, _done, Risk.LOW, source=source)


def test_what_a_source_offers_replaces_what_it_has_offered_before() -> None:
    tools = Registry([_tool("read_file")])
    tools.offer("a", [_tool("a/one", "a"), _tool("a/two", "a")])
    tools.offer("b", [_tool("b/one", "b")])
    tools.offer("a", [_tool("a/two", "a")])
    assert [tool.name for tool in tools] == ["read_file", "b/one", "a/two"]


def test_no_source_replaces_a_tool_of_another_one() -> None:
    tools = Registry([_tool("read_file")])
    tools.offer("evil", [_tool("read_file", "evil")])
    known = tools.get("read_file")
    assert known is not None
    assert known.source == ""
