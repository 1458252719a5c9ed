"""Nothing is fetched because a text from outside says so."""

import socket
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forethought_patterns.checks import Check, examine, read_checks
from forethought_tools import JSON, FaultsError, Registry, schema_faults

pytestmark = pytest.mark.anyio


@pytest.fixture
def listener() -> Generator[socket.socket]:
    """A peer that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as peer:
        peer.setblocking(False)
        yield peer


def _schemas(listener: socket.socket, folder: Path) -> list[dict[str, Any]]:
    (folder / "schema.json").write_text('{"const": "the contents of a file"}', encoding="utf-8")
    web, file = f"http://127.0.0.1:{listener.getsockname()[1]}/x", (folder / "schema.json").as_uri()
    return [
        *({key: address} for key in ("$ref", "$dynamicRef") for address in (web, file, f"{file}#/const")),
        {"$id": web, "$ref": "other"},
        {"$id": f"{folder.as_uri()}/", "$ref": "schema.json"},
        {"$id": f"{folder.as_uri()}/", "properties": {"a": {"$dynamicRef": "schema.json#a"}}, "required": ["a"]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": file},
        {"properties": {"a": {"$schema": web, "$ref": web}}},
        {"allOf": [{"anyOf": [{"not": {"$ref": file}}]}]},
    ]


async def test_a_schema_refers_to_nothing_outside_itself(
    listener: socket.socket, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for schema in _schemas(listener, tmp_path):
        with pytest.raises(FaultsError, match="nothing outside it is looked up"):
            await read_checks([{"schema": schema}], "check", Registry())
        said = [str(each) for each in await examine(Check(shape=schema), {"a": 1}, _no_call)]
        said += [fault.message for fault in schema_faults(schema, {"a": 1})]
        assert said, schema
        assert all("nothing outside it is looked up" in each for each in said), said
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert capfd.readouterr() == ("", "")


async def test_a_schema_refers_to_its_own_parts_whatever_they_are_called() -> None:
    own: dict[str, Any] = {
        "$id": "https://example.org/a",
        "properties": {"x": {"$ref": "#/$defs/x"}, "y": {"$ref": "b"}, "z": {"$dynamicRef": "#z"}, "$ref": {}},
        "$defs": {"x": {"type": "string"}, "b": {"$id": "b", "type": "integer"}, "z": {"$dynamicAnchor": "z"}},
    }
    (check,) = await read_checks([{"schema": own}], "check", Registry())
    assert await examine(check, {"x": "text", "y": 1, "z": None}, _no_call) == []
    assert len(await examine(check, {"x": 1, "y": "text"}, _no_call)) == 2


async def _no_call(name: str, arguments: Any) -> JSON:
    raise AssertionError("these checks call nothing")
