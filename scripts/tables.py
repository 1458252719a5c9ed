#!/usr/bin/env python3
"""The tables of the docs, made from the code: MCP tools, tools of steps, settings, commands.

A page has `<!-- table: NAME -->` where a table begins and `<!-- end -->` where it ends. Without arguments this writes
every table anew, and `lists.json`; with `--check` it only says which are stale, and exits with status 1 if any is.
"""

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import anyio
from mcp.client import Client
from pydantic import BaseModel

from forethought.cli import parser
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought.surface.tools import tools
from forethought.variables import VARIABLES, Variable
from forethought_tools import Risk, Tool
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

ROOT = Path(__file__).resolve().parent.parent
LISTS = ROOT / "server" / "forethought" / "surface" / "lists.json"
MEANING = {
    Risk.LOW: "changes nothing by itself; runs",
    Risk.MEDIUM: "writes inside the granted folders; runs, and can be undone",
    Risk.HIGH: "cannot be taken back, or nobody knows; a person is asked first",
}
_TABLE = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page of the documentation."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def refreshed(page: str) -> str:
    """The text of a page with every table as the code has it now."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", page)


def mcp_tools() -> str:
    """The MCP tools, a line each."""
    return _table("tool", "what it does", rows=[(f"`{each.name}`", _first(each.description)) for each in tools()])


def mcp_parameters() -> str:
    """Each MCP tool with its parameters."""
    return "\n\n".join(f"### `{each.name}`\n\n{each.description}\n\n{_parameters(each.strict)}" for each in tools())


def step_tools() -> str:
    """The tools that a step can call, by risk."""
    known = list(builtin(Folders([])))
    rows = [
        (str(risk), MEANING[risk], ", ".join(f"`{each.name}`" for each in known if each.risk is risk)) for risk in Risk
    ]
    return _table("risk", "what it means", "tools", rows=rows)


def step_parameters() -> str:
    """Each tool that a step can call, with its arguments."""
    return "\n\n".join(map(_step_tool, builtin(Folders([]))))


def settings() -> str:
    """Every environment variable."""
    return _table("variable", "meaning", "default", rows=[_setting(each) for each in VARIABLES])


def commands() -> str:
    """Every command with its options."""
    rows = [
        (f"`forethought {usage}`", f"{meaning[0].upper()}{meaning[1:]}.", "<br>".join(options))
        for usage, meaning, options in _commands("", parser())
    ]
    return _table("command", "what it does", "options", rows=rows)


def lists(_: str = "") -> str:
    """What the whole server says of itself, which clients are told before that is there."""
    return json.dumps(anyio.run(_said), ensure_ascii=False, indent=1) + "\n"


async def _said() -> Mapping[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        async with Client(build_server(Settings(home=Path(home)))) as client:
            info = {name: getattr(client.server_info, name) for name in ("title", "description")}
            return {
                "server": {**info, "instructions": client.instructions},
                "tools/list": _wire(await client.list_tools(), "tools"),
                "resources/list": _wire(await client.list_resources(), "resources"),
                "resources/templates/list": _wire(await client.list_resource_templates(), "resourceTemplates"),
                "prompts/list": _wire(await client.list_prompts(), "prompts"),
            }


def _wire(result: BaseModel, name: str) -> Mapping[str, Any]:
    return {name: result.model_dump(mode="json", by_alias=True, exclude_none=True)[name]}


TABLES = {
    "tools": mcp_tools,
    "parameters": mcp_parameters,
    "step-tools": step_tools,
    "step-parameters": step_parameters,
    "settings": settings,
    "commands": commands,
}


def _table(*heads: str, rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _first(text: str) -> str:
    """The first sentence."""
    return re.split(r"(?<=\.)\s", text.strip())[0]


def _parameters(schema: Mapping[str, Any]) -> str:
    """The parameters of a tool, from the JSON schema that callers see."""
    required = schema.get("required", [])
    rows = [
        (f"`{name}`", _type(part) + (", required" if name in required else ""), _meaning(part))
        for name, part in schema["properties"].items()
    ]
    return _table("parameter", "type", "meaning", rows=rows)


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    name = str(schema.get("type", "any value"))
    if name == "array":
        return f"list of {_type(schema.get('items', {}))}s"
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    bounds = [("from", least), ("to", schema.get("maximum")), ("up to", schema.get("maxLength"))]
    told = " ".join(f"{word} {bound:,}" for word, bound in bounds if bound is not None)
    return f"{name} {told}{' characters' if 'maxLength' in schema else ''}" if told else name


def _meaning(schema: Mapping[str, Any]) -> str:
    told = str(schema.get("description", "")).replace("*", "\\*")
    default = f"Default: `{schema['default']}`." if schema.get("default") not in (None, "") else ""
    return " ".join(filter(None, [told + ("." if told and told[-1] not in ".?!" else ""), default]))


def _step_tool(tool: Tool) -> str:
    notes = [f"Risk: {tool.risk}."]
    if tool.repeatable:
        notes.append("May be called twice.")
    if tool.asks:
        notes.append("Asks a model.")
    return f"### `{tool.name}`\n\n{tool.description} {' '.join(notes)}\n\n{_parameters(tool.parameters)}"


def _setting(variable: Variable) -> tuple[str, str, str]:
    name = f"`{variable.name}`" + (f" (or `{variable.also}`)" if variable.also else "")
    return name, variable.meaning, variable.shown or (f"`{variable.default}`" if variable.default else "none")


def _commands(path: str, known: argparse.ArgumentParser) -> list[tuple[str, str, list[str]]]:
    """Usage, meaning and options of every command below a parser, in the order in which `--help` lists them."""
    found: list[tuple[str, str, list[str]]] = []
    for group in _actions(known):
        if group.nargs != argparse.PARSER:
            continue
        helps = {str(each.metavar or each.dest): each.help or "" for each in _below(group)}
        for name, command in cast("dict[str, argparse.ArgumentParser]", cast("Any", group).choices).items():
            below = _commands(f"{path}{name} ", command)
            if not below or command.get_default("run"):
                found.append((f"{path}{name}{_positionals(command)}", helps[name], _options(command)))
            found += below
    return found


# argparse keeps what it was told to itself.
def _actions(known: argparse.ArgumentParser) -> list[argparse.Action]:
    return known._actions  # pyright: ignore[reportPrivateUsage]


def _below(group: argparse.Action) -> list[argparse.Action]:
    return list(cast("Any", group)._choices_actions)


def _positionals(command: argparse.ArgumentParser) -> str:
    found = ""
    for action in _actions(command):
        if not action.option_strings and action.nargs != argparse.PARSER:
            name = str(action.metavar or action.dest).upper()
            found += {"?": f" [{name}]", "*": f" [{name} ...]"}.get(str(action.nargs), f" {name}")
    return found


def _options(command: argparse.ArgumentParser) -> list[str]:
    found: list[str] = []
    for action in _actions(command):
        if action.option_strings and action.dest != "help":
            value = "\\|".join(map(str, action.choices)) if action.choices else _meant(action.metavar)
            shown = f"{action.option_strings[-1]} {value}".strip() if action.nargs != 0 else action.option_strings[-1]
            found.append(f"`{shown}`: {action.help}".replace("\\|", ","))
    return found


def _meant(metavar: str | tuple[str, ...] | None) -> str:
    return f"{metavar[0]} [{metavar[1]} ...]" if isinstance(metavar, tuple) else metavar or ""


def main() -> int:
    """Write the tables, or check them."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("--check", action="store_true", help="change nothing; exit status 1 if a page is stale")
    check = asked.parse_args().check
    stale = 0
    written: list[tuple[Path, Callable[[str], str]]] = [(LISTS, lists), *((page, refreshed) for page in pages())]
    for page, made in written:
        text = page.read_text(encoding="utf-8")
        if (fresh := made(text)) == text:
            continue
        stale += 1
        sys.stdout.write(f"{page.relative_to(ROOT)} {'is stale: run scripts/tables.py' if check else 'written'}\n")
        if not check:
            page.write_text(fresh, encoding="utf-8")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
