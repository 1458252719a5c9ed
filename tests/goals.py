"""Ordinary goals with their files, a careful person at the form, and what comes of each on the embedded model."""

import json
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from forethought.settings import Settings
from forethought.surface.server import build_server


@dataclass(frozen=True)
class Goal:
    """A goal as a person types it, what it starts from, and whether a result is right."""

    name: str
    text: str
    files: Mapping[str, str]
    right: Callable[[Path, str], bool]
    """Looks at the folder and at the answer."""
    gone: Sequence[str] = field(default=())
    """What the goal wants deleted: the person approves that."""


@dataclass(frozen=True)
class Outcome:
    """How a goal ended: RIGHT, WRONG (called succeeded, and is not), DOUBTED (wrong, and said so) or FAILED."""

    goal: str
    verdict: str
    seconds: float
    said: str


def _holds(name: str, *parts: str, lacks: Sequence[str] = ()) -> Callable[[Path, str], bool]:
    """A file (none: the answer) that holds each of these as a word, and none of those."""

    def look(folder: Path, answer: str) -> bool:
        file = folder / name
        text = answer if not name else file.read_text(encoding="utf-8") if file.is_file() else ""
        return all(_has(text, part) for part in parts) and not any(_has(text, part) for part in lacks)

    return look


def _has(text: str, part: str) -> bool:
    """As a word; a number may also have commas between its thousands."""
    word = re.compile(rf"(?<![\w.]){re.escape(part)}(?!\w)")
    return any(word.search(each) for each in (text, re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)))


def _lines(name: str, *lines: str) -> Callable[[Path, str], bool]:
    def look(folder: Path, _: str) -> bool:
        file = folder / name
        return file.is_file() and [
            line.strip() for line in file.read_text(encoding="utf-8").split("\n") if line.strip()
        ] == [*lines]

    return look


def _only(*names: str) -> Callable[[Path, str], bool]:
    return lambda folder, _: sorted(file.name for file in folder.iterdir()) == sorted(names)


_TRIPS = "driver,km\nIlse,120\nOtto,75.5\nIlse,30\nRavi,210\nOtto,4.5\n"
_SENSORS = json.dumps(
    [{"id": "S1", "room": "Attic, left", "celsius": 17.5}, {"id": "S2", "room": "Hall", "celsius": 20.5}]
)
_STATES = ("OK", "FAILED", "OK", "OK", "FAILED")
_LOG = "".join(f"2026-04-01 0{hour}:00 {state} task {hour}\n" for hour, state in enumerate(_STATES))
_ESSAY = "The heron stands still. Nobody knows for how long it has been there, or why.\n"
_MEETING = (
    "Present: Ava, Bruno, Chidi.\n\nThe roof of the shed leaks. Two offers were looked at; after a long talk about"
    " money and about last winter the group chose the one of Marlin Roofing. Chidi calls them before 12 June. Ava"
    " reported on the garden, where all is well. Bruno asked for a new lock.\n"
)
GOALS = (
    Goal(
        "trips",
        "Total kilometres per driver in trips.csv, as a table in trips.md",
        {"trips.csv": _TRIPS},
        _holds("trips.md", "Ilse", "150", "Otto", "80", "Ravi", "210"),
    ),
    Goal(
        "sensors",
        "turn sensors.json into sensors.csv with every field, one line a sensor",
        {"sensors.json": _SENSORS},
        _lines("sensors.csv", "id,room,celsius", 'S1,"Attic, left",17.5', "S2,Hall,20.5"),
    ),
    Goal(
        "failed",
        "How many FAILED lines and how many OK lines has backup.log? Only tell me.",
        {"backup.log": _LOG},
        _holds("", "2", "3"),
    ),
    Goal(
        "old",
        "Delete every .old file here and nothing else",
        {"a.old": "1", "b.old": "2", "older.txt": "3"},
        _only("older.txt"),
        gone=("a.old", "b.old"),
    ),
    Goal(
        "plants",
        "Which plants of wanted.txt are not in shop.txt? Write them to order.txt, one a line.",
        {"wanted.txt": "rose\nsage\niris\nmint\n", "shop.txt": "iris\nrose\n"},
        _lines("order.txt", "sage", "mint"),
    ),
    Goal(
        "books",
        "add the title of each book (isbn is the key, see books.csv) to loans.csv, save as loans_full.csv",
        {"loans.csv": "reader,isbn\nNoor,11\nPim,12\nNoor,12\n", "books.csv": "isbn,title\n11,Dune\n12,Emma\n"},
        _holds("loans_full.csv", "Noor", "Pim", "Dune", "Emma", "11", "12"),
    ),
    Goal(
        "dogs",
        "average weight per breed in dogs.csv, rounded to one decimal, into dogs_avg.csv",
        {"dogs.csv": "breed,kg\npug,7.25\npug,8\nbeagle,11\n"},
        _holds("dogs_avg.csv", "pug", "7.6", "beagle", "11"),
    ),
    Goal("rename", "rename draft.txt to final.txt", {"draft.txt": "the end\n"}, _lines("final.txt", "the end")),
    Goal("words", "How many words does essay.txt have?", {"essay.txt": _ESSAY}, _holds("", str(len(_ESSAY.split())))),
    Goal(
        "biggest",
        "Which file in this folder is the biggest? Just tell me its name.",
        {"a.txt": "x", "b.bin": "y" * 900, "c.csv": "a,b\n1,2\n"},
        _holds("", "b.bin"),
    ),
    Goal(
        "stay",
        "How many days are there between the arrival and the departure in stay.txt?",
        {"stay.txt": "Arrival: 27 February 2026\nDeparture: 5 March 2026\n"},
        _holds("", "6"),
    ),
    Goal(
        "roof",
        "Summarise meeting.txt in at most 40 words in roof.txt: who does what about the roof, until when",
        {"meeting.txt": _MEETING},
        _holds("roof.txt", "Chidi", "Marlin", "June"),
    ),
)


async def attempt(goal: Goal, home: Path) -> Outcome:
    """Plan a goal and run it, in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        folder = _filled(Path(place), goal)
        settings = Settings(home=home, folders=(folder,), model="local")
        began = time.perf_counter()
        async with Client(build_server(settings), elicitation_callback=_person(goal, folder)) as client:
            state = await _ended(client, await _called(client, "create_plan", goal=goal.text))
            if state["status"] == "ready":
                state = await _called(client, "execute_plan", plan_id=state["plan_id"])
                state = await _ended(client, state)
        right = goal.right(folder, str(state.get("answer", "")))
        succeeded = state["status"] == "succeeded"
        wrong = "FAILED" if not succeeded else "DOUBTED" if state.get("unverified") else "WRONG"
        said = str(state.get("error") or state.get("answer") or state["status"])
        return Outcome(goal.name, "RIGHT" if right and succeeded else wrong, time.perf_counter() - began, said)


def _filled(place: Path, goal: Goal) -> Path:
    for name, content in goal.files.items():
        (place / name).write_text(content, encoding="utf-8")
    return place.resolve()


async def _ended(client: Client, state: dict[str, Any]) -> dict[str, Any]:
    while state["status"] == "running":
        if "plan_id" in state and state.get("progress") != "making the plan":
            state = await _called(client, "execute_plan", plan_id=state["plan_id"])
        else:
            state = await _called(client, "report", run_id=state["run_id"], answers=[])
    return state


async def _called(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    return dict(result.structured_content or {"status": "failed", "error": str(result.content)})


def _person(goal: Goal, folder: Path) -> Any:
    async def elicit(_: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked = re.search(r"wants to call (\S+?)\.?$", params.message, re.MULTILINE)
        path = re.search(r"^path: (.*)$", params.message, re.MULTILINE)
        named = path[1].removeprefix(f"{folder}/") if path else ""
        allowed = asked is not None and asked[1] == "delete_file" and named in goal.gone
        return ElicitResult(action="accept", content={"decision": "approve" if allowed else "reject"})

    return elicit
