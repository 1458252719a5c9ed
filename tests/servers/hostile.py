"""A hostile MCP server of the older era: what it lists stands in a file, and each of its tools is an attack."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, cast

HOME = Path(sys.argv[1])
_asked = count(1)


def listed() -> list[dict[str, Any]]:
    """What is offered now: `tools.json`, or each attack as a tool that claims to read only."""
    hints = {"readOnlyHint": True, "openWorldHint": False}
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "text": {"type": "string"}}}
    plain = [{"name": name, "description": name, "inputSchema": schema, "annotations": hints} for name in ATTACKS]
    return cast("list[dict[str, Any]]", told("tools", plain))


def told(what: str, otherwise: Any) -> Any:
    """What a test has put into a file beside it."""
    file = HOME / f"{what}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else otherwise


def paged(key: str, what: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Ten of them a page, or as many as `page.json` says."""
    params: Mapping[str, Any] = request.get("params") or {}
    at = int(params.get("cursor") or 0)
    listed = told(what, [])
    end = at + told("page", 10)
    return {key: listed[at:end], **({"nextCursor": str(end)} if end < len(listed) else {})}


def say(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def ask(method: str, **params: Any) -> None:
    say(id=f"asked-{next(_asked)}", method=method, params=params)


def large(request: Mapping[str, Any], n: int) -> str:
    return "x" * n


def endless(request: Mapping[str, Any], n: int) -> str:
    """A line that does not end, until nobody reads any more."""
    try:
        while True:
            sys.stdout.write("x" * 65_536)
    except BrokenPipeError:
        os._exit(1)


def garbage(request: Mapping[str, Any], n: int) -> str:
    sys.stdout.write('garbage\n{"jsonrpc": "2.0"\n[1]\n\x1b[2Jnull\n' * max(n, 1))
    return "after the garbage"


def wrong_id(request: Mapping[str, Any], n: int) -> str:
    say(id=request["id"] + 1000, result={"content": [{"type": "text", "text": "of nobody"}]})
    return "the right one"


def leave(request: Mapping[str, Any], n: int) -> str:
    with (HOME / "left").open("a", encoding="utf-8") as left:
        left.write("x")
    os._exit(3)


def questions(request: Mapping[str, Any], n: int) -> str:
    """As many questions as wanted, and never an end."""
    for number in range(n):
        ask("elicitation/create", message=f"Question {number}", requestedSchema={"type": "object", "properties": {}})
    return ""


def progress(request: Mapping[str, Any], n: int) -> str:
    token = request["params"]["_meta"]["progressToken"]
    text = request["params"]["arguments"].get("text", "so far")
    for number in range(n):
        say(method="notifications/progress", params={"progressToken": token, "progress": number, "message": text})
    return "done"


def worthless(request: Mapping[str, Any], n: int) -> str:
    """A result of parts that are none."""
    say(id=request["id"], result={"content": [0] * n})
    return ""


def silence(request: Mapping[str, Any], n: int) -> str:
    sys.stdout.write("\n" * n)
    return "after the silence"


def refuse(request: Mapping[str, Any], n: int) -> str:
    say(id=request["id"], error={"code": -32000, "message": "no such row"})
    return ""


def echo(request: Mapping[str, Any], n: int) -> str:
    return str(request["params"]["arguments"].get("text", ""))


def form(request: Mapping[str, Any], n: int) -> str:
    """The question that stands in `form.json`."""
    ask("elicitation/create", **told("form", {}))
    return ""


ATTACKS: Mapping[str, Callable[[Mapping[str, Any], int], str]] = {
    each.__name__: each
    for each in (
        large,
        endless,
        garbage,
        worthless,
        silence,
        wrong_id,
        leave,
        questions,
        progress,
        refuse,
        echo,
        form,
    )
}


def answered(request: Mapping[str, Any]) -> None:
    method, number = request.get("method"), request.get("id")
    if method == "initialize":
        about = {"name": told("name", "hostile"), "version": "1"}
        capabilities = told("capabilities", {"tools": {"listChanged": True}})
        say(id=number, result={"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": about})
    elif method == "tools/list":
        say(id=number, result={"tools": listed()})
    elif method == "tools/call":
        name = request["params"]["name"]
        arguments: Mapping[str, Any] = request["params"].get("arguments") or {}
        text = ATTACKS[name](request, arguments.get("n", 0)) if name in ATTACKS else f"{name} is done"
        if text:
            say(id=number, result={"content": [{"type": "text", "text": text}]})
    elif method == "resources/list":
        say(id=number, result=paged("resources", "resources", request))
    elif method == "resources/templates/list":
        say(id=number, result=paged("resourceTemplates", "templates", request))
    elif method == "ping":
        say(id=number, result={})
    elif method and number is not None:
        say(id=number, error={"code": -32601, "message": "Method not found"})
    elif not method and str(number).startswith("asked-"):
        with (HOME / "answers").open("a", encoding="utf-8") as answers:
            answers.write(json.dumps(request) + "\n")


with (HOME / "starts").open("a", encoding="utf-8") as starts:
    starts.write(f"{os.getpid()}\n")
for line in sys.stdin:
    answered(json.loads(line))
