"""A page of the documentation, followed as a reader would: its fenced blocks are run in order, in a folder of its own.

- `bash` and `console` blocks are run by a shell. What a console block shows below a command must be on the screen, in
  that order; a line `...` stands for anything, and what is typed at a question of ours is typed.
- `json` blocks are configurations of clients, lists of steps, calls of MCP tools (made), or what a call returns.
- `python` blocks are run; a `text` block right below one is what it prints.

Ids in a page stand for those that are really given.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anyio
from mcp.client import Client
from tests.terminal import answering, converse

from forethought.cli import parser
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns import parse_plan
from forethought_tools import JSON
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

ROOT = Path(__file__).parent.parent
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ID = re.compile(r"\b(?:plan|run|gate|order|lesson|recipe|rule)_[0-9a-f]{12}\b")
_VARIES = re.compile(rf"{_ID.pattern}|\d{{4}}-\d\d-\d\d \d\d:\d\d|\.\.\.")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PROMPTS = ("Run this plan? [Y/n]", "(or nothing, to decide later):", "the planner sees it):")
_ANY = "..."
_SECONDS = 120  # of one command, on a machine that others use too


@dataclass(frozen=True)
class Block:
    """What stands in one pair of fences."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def commands(text: str) -> list[str]:
    """The commands of a block, with those of several lines on one."""
    return [line for line in re.sub(r" \\\n\s*", " ", text).splitlines() if line.strip() and line[0] != "#"]


class Reader:
    """Somebody who follows one page, in a folder that looks like this project's."""

    def __init__(self, folder: Path, *, not_run: tuple[str, ...]) -> None:
        """`not_run` is how the commands begin that cannot be run here."""
        self._folder = folder / "project"
        self._folder.mkdir()
        shutil.copytree(ROOT / "examples", self._folder / "examples")
        self._not_run = not_run
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "TERM": "xterm",
            "COLUMNS": "120",
            "LC_ALL": "C.UTF-8",
            "FORETHOUGHT_HOME": str(folder / "home"),
            "FORETHOUGHT_MODEL": "host",
        }
        self._ids: dict[str, str] = {}
        self._returned: JSON = None
        self._printed: str | None = None

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        before, self._printed = self._printed, None
        match block.language:
            case "bash":
                self._run_script(block.text)
            case "console":
                self._converse(block.text)
            case "json":
                self._read_json(block.text)
            case "python":
                self._printed = self._run([sys.executable, "-c", block.text]).stdout
            case "text":
                assert before in (None, block.text), before
            case "mermaid":
                assert block.text.startswith(("flowchart ", "sequenceDiagram\n"))
            case _:
                raise AssertionError(f"nobody knows how to check a block of {block.language}")
        assert not before or block.language == "text", "what the example above prints is not shown"

    # Commands

    def _run_script(self, text: str) -> None:
        lines = commands(text)
        for line in lines:
            if line.startswith(self._not_run):
                parse(line)
        kept = self._folder.parent / "environment"
        # One by one: to a shell, what fails in the middle of `a && b` is no reason to stop.
        script = "\n".join(f"{{ {line}\n}} || exit" for line in lines if not line.startswith(self._not_run))
        self._run(["bash", "-uo", "pipefail", "-c", f"{self._known(script)}\nenv -0 > {kept}"])
        pairs = kept.read_text(encoding="utf-8").rstrip("\0").split("\0")
        self._environment = dict(pair.split("=", 1) for pair in pairs)

    def _converse(self, text: str) -> None:
        for shown in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, *lines = re.sub(r" \\\n\s*> ", " ", shown).splitlines()
            if command.startswith(self._not_run):
                parse(command)
                continue
            expected = [self._known(line) for line in lines]
            shell = ["/bin/bash", "-euo", "pipefail", "-c", self._known(command)]
            if answers := [typed for line in lines for typed in _typed(line)]:
                react, left = answering(answers)
                status, screen = converse(shell, self._environment, react, folder=self._folder, seconds=_SECONDS)
                assert not left, f"never asked: {left}\n{screen}"
            else:
                done = self._run(shell, check=not lines)
                status, screen = done.returncode, done.stdout + done.stderr
            assert status != 2, screen
            self._see(expected, screen)

    def _run(self, command: Sequence[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        assert not check or done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        return done

    def _see(self, expected: Sequence[str], screen: str) -> None:
        """Find each expected line on the screen, below the one before."""
        seen = [_plain(line) for line in _ESCAPES.sub("", screen).splitlines()]
        at = 0
        for line in filter(None, map(_plain, expected)):
            if line == _ANY:
                continue
            found = next((at for at in range(at, len(seen)) if self._fits(line, seen[at])), None)
            assert found is not None, f"not on the screen: {line}\n{screen}"
            at = found + 1

    # JSON

    def _read_json(self, text: str) -> None:
        told: JSON = json.loads(self._known(text))
        if isinstance(told, list):
            parse_plan("as the page says", told, builtin(Folders([])))
            return
        assert isinstance(told, Mapping), "neither an object nor a list"
        if servers := told.get("mcpServers", told.get("servers")):
            assert isinstance(servers, Mapping)
            for server in servers.values():
                _check_server(server)
        elif "name" in told:
            self._returned = anyio.run(
                self._call, str(told["name"]), dict(cast("Mapping[str, JSON]", told["arguments"]))
            )
        else:
            assert self._returned is not None, "no call stands above this"
            self._compare(told, self._returned, "")

    async def _call(self, name: str, arguments: dict[str, JSON]) -> JSON:
        model = self._environment["FORETHOUGHT_MODEL"].replace("scripted:", f"scripted:{self._folder}/")
        environment = {**self._environment, "FORETHOUGHT_MODEL": model}
        demo = self._folder / "demo"
        settings = Settings.read(environment, folders=[str(demo if demo.exists() else self._folder)])
        with anyio.fail_after(_SECONDS):
            async with Client(build_server(settings)) as client:
                result = await client.call_tool(name, cast("dict[str, Any]", arguments))
        returned: JSON = result.structured_content
        return returned

    def _compare(self, told: JSON, real: JSON, where: str) -> None:
        """Everything that a page shows of a result must be in it."""
        if isinstance(told, Mapping):
            assert isinstance(real, Mapping), f"{where}: {real}"
            for name, part in told.items():
                assert name in real, f"{where}.{name} is not in {real}"
                self._compare(part, real[name], f"{where}.{name}")
        elif isinstance(told, list):
            assert isinstance(real, list), f"{where}: {real}"
            assert len(told) == len(real) or told[-1] == _ANY, f"{where}: {real}"
            for number, part in enumerate(told):
                if part != _ANY:
                    self._compare(part, real[number], f"{where}.{number}")
        elif isinstance(told, str):
            assert self._fits(told, str(real)), f"{where}: {real}"
        else:
            assert told == real, f"{where}: {real}"

    # Ids

    def _known(self, text: str) -> str:
        """A text of the page with the ids that were really given, as far as they are known."""
        return _ID.sub(lambda found: self._ids.get(found[0], found[0]), text)

    def _fits(self, told: str, real: str) -> bool:
        """Whether a line is as told. Ids that nobody has seen yet become known by that."""
        pattern, at, new = "", 0, set[str]()
        for found in _VARIES.finditer(told):
            pattern += re.escape(told[at : found.start()])
            at = found.end()
            name, kind = found[0], found[0].partition("_")[0]
            if not _ID.fullmatch(name):
                pattern += ".*" if name == _ANY else r"[\d-]{10} [\d:]{5}"
            elif name in self._ids.values():
                pattern += name
            else:
                pattern += f"(?P={name})" if name in new else f"(?P<{name}>{kind}_[0-9a-f]{{12}})"
                new.add(name)
        fitting = re.fullmatch(pattern + re.escape(told[at:]), real, re.DOTALL)
        self._ids |= fitting.groupdict() if fitting else {}
        return fitting is not None


def _check_server(server: JSON) -> None:
    """A server in the configuration of a client: if it is ours, its command line must be one."""
    assert isinstance(server, Mapping)
    arguments = server["args"]
    assert isinstance(arguments, list)
    if server["command"] == "forethought":
        parser().parse_args(list(map(str, arguments)))


def parse(line: str) -> None:
    """Make sure that a command of ours which is not run could be: the real parser takes it."""
    for part in line.split(" && "):
        words = shlex.split(part)
        if words and Path(words[0]).name == "forethought":
            parser().parse_args(words[1:])


def _typed(line: str) -> list[tuple[str, str]]:
    """The question in a line, and what is typed there."""
    found = [(prompt, line.partition(prompt)[2].strip()) for prompt in _PROMPTS if prompt in line]
    return [(prompt, answer) for prompt, answer in found if answer]


def _plain(line: str) -> str:
    """A line without the frames and the padding of a terminal."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", line).split())
