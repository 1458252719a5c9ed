"""Somebody with a folder, a plan with a step that cannot be undone, and the server that their client starts."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stores import COMMAND, environment
from tests.terminal import answering, converse

from forethought.app import open_store
from forethought.settings import Settings

GOAL = "Copy notes.txt to copy.txt, then delete old.txt."
KNOWN_ONLY_TO_THE_FILE = "the meeting is on Thursday"
STEPS: list[dict[str, Any]] = [
    {"id": 1, "tool": "read_file", "description": "Read the notes", "arguments": {"path": "notes.txt"}},
    {
        "id": 2,
        "tool": "write_file",
        "description": "Copy them",
        "arguments": {"path": "copy.txt", "content": "{{1}}"},
    },
    {
        "id": 3,
        "tool": "delete_file",
        "description": "Delete the old file",
        "arguments": {"path": "old.txt"},
        "depends_on": [2],
    },
    {
        "id": 4,
        "tool": "read_file",
        "description": "Look at the copy",
        "arguments": {"path": "copy.txt"},
        "depends_on": [3],
    },
]
TOOLS = {
    "create_plan",
    "execute_plan",
    "reflect",
    "lats_search",
    "get_plan",
    "update_plan",
    "report",
    "rollback",
    "stop",
}


def tools_among(names: Iterable[str]) -> set[str]:
    """Our tools among those that a client lists: some put the server's name before them."""
    return {tool for tool in TOOLS for name in names if name == tool or name.endswith(f"_{tool}")}


@dataclass
class Scene:
    """One person's folder and journal, what they were shown, and what their client is told of the server."""

    folder: Path
    home: Path
    goal: str = GOAL
    steps: Sequence[Mapping[str, Any]] = tuple(STEPS)
    more: Mapping[str, str] = field(default_factory=dict[str, str])
    """Settings of the server besides those that it needs."""
    patience: float = 60
    """Seconds after which the client gives a call up, if its program asks."""
    screens: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.folder.mkdir()
        (self.folder / "notes.txt").write_text(KNOWN_ONLY_TO_THE_FILE, encoding="utf-8")
        (self.folder / "old.txt").write_text("old", encoding="utf-8")

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, folders=(self.folder,), model="host")

    @property
    def environment(self) -> Mapping[str, str]:
        path = f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
        ours = {"PATH": path, "FORETHOUGHT_MODEL": "host", "FORETHOUGHT_FOLDERS": str(self.folder)}
        return {**environment(self.settings), **ours, **self.more, "TERM": "xterm"}

    @property
    def server(self) -> Mapping[str, Any]:
        """The entry in the configuration of a client, as the README has it."""
        return {"command": "forethought", "args": ["serve"], "env": self.environment}

    def told(self, model: str) -> str:
        """What a program that drives a client is given."""
        wanted = {"goal": self.goal, "steps": self.steps, "patience": self.patience}
        return json.dumps({"server": self.server, "model": model, **wanted})

    def approve(self) -> None:
        """Be the person: say in a terminal of one's own that the call may be made."""
        react, left = answering([("to decide later", "approve")])
        status, screen = converse([COMMAND, "decide"], self.environment, react, folder=self.folder)
        assert (status, left) == (0, []), screen
        self.screens.append(screen)

    def check_that_it_is_done_once(self) -> None:
        """Look at the files and into the journal."""
        assert not (self.folder / "old.txt").exists()
        assert (self.folder / "copy.txt").read_text(encoding="utf-8") == KNOWN_ONLY_TO_THE_FILE
        self.check_that_one_run_succeeded()

    def check_that_one_run_succeeded(self) -> None:
        with closing(open_store(self.settings)) as store:
            assert len(store.queries.plans()) == 1
            assert [run.state for run in store.queries.runs() if run.kind == "plan"] == ["succeeded"]
