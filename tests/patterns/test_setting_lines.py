"""A setting is changed in the line that its file has, and two edits of one file are looked at before they run."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from tests.patterns.linting import TOOLS

from forethought_patterns import Brief, Plan, Step
from forethought_patterns.lean import lean_question, lean_steps
from forethought_patterns.lints import lints
from forethought_patterns.setting_lines import SHOWN
from forethought_tools import JSON
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

SETTINGS = """\
[project]
version = "1.8.2"
line-length = 100  # as the editor has it
level: info
"port": 5432,
retries = 3
retries = 4
"""


def _edited(old: str, new: str, *, goal: str = "Set the level", text: str = SETTINGS) -> tuple[JSON, JSON]:
    script = f"edit_file('app.toml', {old!r}, {new!r})"
    (step,) = cast("list[Mapping[str, JSON]]", lean_steps(script, Brief(goal, files={"app.toml": text}), TOOLS))
    arguments = cast("Mapping[str, JSON]", step["arguments"])
    return arguments["old"], arguments["new"]


@pytest.mark.parametrize(
    ("old", "new", "line", "changed"),
    [
        ("version = 1.8.2", "version = 1.9.0", 'version = "1.8.2"', 'version = "1.9.0"'),
        ("version: '1.8.2'", "version: '1.9.0'", 'version = "1.8.2"', 'version = "1.9.0"'),
        ("line-length=80", "line-length=120", "line-length = 100  # as the editor has it", None),
        ('level: "info"', 'level: "debug"', "level: info", "level: debug"),
        ("log: level: info", "log: level: debug", "level: info", "level: debug"),
        ("logging: info", "logging: debug", "level: info", "level: debug"),
        ('"port": 5000', '"port": 5433', '"port": 5432,', '"port": 5433,'),
    ],
)
def test_an_edit_in_other_words_than_the_file_gets_the_line_that_is_there(
    old: str, new: str, line: str, changed: str | None
) -> None:
    assert _edited(old, new) == (line, changed or line.replace("100", "120"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('version = "1.8.2"', 'version = "1.9.0"'),  # it is there
        ("retries = 5", "retries = 6"),  # two lines could be meant
        ("timeout = 5", "timeout = 6"),  # none is there
        ("count: 5432", "count: 5433"),  # a value that is there under a name that nobody has said
        ("version = 1.8.2", "release = 1.9.0"),  # another setting
        ("version = 1.8.2", "version = 1.9.0\nname = x"),  # more than a setting
    ],
)
def test_an_edit_that_may_mean_something_else_stays_as_it_is(old: str, new: str) -> None:
    assert _edited(old, new) == (old, new)


def test_an_old_value_that_the_goal_names_has_to_be_there() -> None:
    told = "Change the port in app.toml from 5000 to 5433"
    assert _edited("port: 5000", "port: 5433", goal=told) == ("port: 5000", "port: 5433")


def test_of_a_file_that_was_not_seen_whole_nothing_is_guessed() -> None:
    text = SETTINGS + "# more\n" * SHOWN
    assert _edited("version = 1.8.2", "version = 1.9.0", text=text[:SHOWN]) == ("version = 1.8.2", "version = 1.9.0")


def test_a_small_planner_sees_all_lines_of_settings() -> None:
    text = "".join(f"key{n} = {n}\n" for n in range(100))
    shown = {path: lean_question(Brief("g", files={path: text}), TOOLS).context for path in ("app.ini", "app.txt")}
    assert "key90 = 90" in shown["app.ini"]
    assert "key90 = 90" not in shown["app.txt"]


COMPOSE = """\
services:
  web:
    image: booking/web:3.1   # built by CI
    deploy:
      replicas: 2
  worker:
    deploy:
      replicas: 3
  cache:
    image: redis:6.2
"""
JSON_SETTINGS = """\
settings.json (theme STRUCT(dark BOOLEAN, size BIGINT), autosave STRUCT(enabled BOOLEAN, minutes BIGINT)), 1 rows: x
{
  "theme": {
    "dark": false,
    "size": 5
  },
  "sync": {
    "enabled": false,
    "minutes": 5
  },
  "autosave": {
    "enabled": false,
    "minutes": 5
  }
}
"""
SECTIONS = "[web]\nport = 80\nDebug = Off\n\n[admin.panel]\nport = 80\n"


@pytest.mark.parametrize(
    ("text", "script", "edits"),
    [
        (COMPOSE, "('f', 'image: redis:6.2', 'image: redis:7.4', 'cache')", [("image: redis:6.2", "image: redis:7.4")]),
        (COMPOSE, "('f', 'replicas: 1', 'replicas: 5')", [("replicas: 3", "replicas: 5")]),
        (COMPOSE, "('f', 'worker.deploy.replicas', '5')", [("replicas: 3", "replicas: 5")]),
        (
            COMPOSE,
            "('f', 'services.web.image = x:4', 'services.web.image = x:4')",
            [("image: booking/web:3.1   # built by CI", "image: x:4   # built by CI")],
        ),
        (JSON_SETTINGS, "('f', 'dark', True)", [('"dark": false,', '"dark": true,')]),
        (JSON_SETTINGS, "('f', 'theme.dark', 'on')", [('"dark": false,', '"dark": true,')]),
        (
            JSON_SETTINGS,
            "('f', 'autosave.minutes', 10)",
            [
                (
                    '"autosave": {\n    "enabled": false,\n    "minutes": 5',
                    '"autosave": {\n    "enabled": false,\n    "minutes": 10',
                )
            ],
        ),
        (
            JSON_SETTINGS,
            "('f', 'autosave.enabled', True)\nedit_file('f', 'autosave.minutes', 10)",
            [
                ('"autosave": {\n    "enabled": false,', '"autosave": {\n    "enabled": true,'),
                ('"enabled": true,\n    "minutes": 5', '"enabled": true,\n    "minutes": 10'),
            ],
        ),
        (SECTIONS, "('f', 'port = 80', 'port = 8080', 'web')", [("[web]\nport = 80", "[web]\nport = 8080")]),
        (SECTIONS, "('f', 'admin.panel.port', '81')", [("[admin.panel]\nport = 80", "[admin.panel]\nport = 81")]),
        (SECTIONS, "('f', 'debug', 'true')", [("debug", "true")]),  # nothing is called so
        (SECTIONS, "('f', 'Debug', 'true')", [("Debug = Off", "Debug = On")]),
        (SECTIONS, "('f', 'Debug', 'Trace')", [("Debug", "Trace")]),  # may be a new name
        (COMPOSE, "('f', 'image: a:1', 'image: a:2')", [("image: a:1", "image: a:2")]),  # two could be meant
        (COMPOSE.replace("\n", "\r\n"), "('f', 'web.replicas', '5')", [("replicas: 2", "replicas: 5")]),
    ],
)
def test_a_setting_is_found_by_what_it_stands_below(text: str, script: str, edits: list[tuple[str, str]]) -> None:
    brief = Brief("The worker should have 5 replicas, and autosave is every ten minutes", files={"f": text})
    steps = cast("list[Mapping[str, JSON]]", lean_steps(f"edit_file{script}", brief, TOOLS))
    given = [cast("Mapping[str, JSON]", step["arguments"]) for step in steps]
    assert [(each["old"], each["new"]) for each in given] == edits
    assert all("all" not in each for each in given)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("old", "told"),
    [("line-length = 80", True), ("line-length = 100", False), ('version = "1.9.0"', False)],
)
async def test_each_of_several_edits_of_one_file_is_looked_at(tmp_path: Path, old: str, *, told: bool) -> None:
    (tmp_path / "app.toml").write_text(SETTINGS, encoding="utf-8")
    edits = [('"1.8.2"', '"1.9.0"'), (old, "x")]
    plan = Plan(
        "Change the version and the line length in app.toml",
        tuple(
            Step(id=n, tool="edit_file", arguments={"path": "app.toml", "old": before, "new": after})
            for n, (before, after) in enumerate(edits, 1)
        ),
    )
    said = list(
        map(str, await lints(plan, Brief(plan.goal, files={"app.toml": SETTINGS}), builtin(Folders([tmp_path]))))
    )
    assert any("does not hold old" in each for each in said) is told, said


STATION = "; of the station\n[station]\ntimeout = 30\n\n[upload]\ntimeout = 30\nretries = 3\n"
GOAL = "In station.ini, set the timeout in the section upload to 90"


def test_what_a_file_is_called_says_nothing_of_its_sections() -> None:
    script = "edit_file('station.ini', 'timeout = 30', 'timeout = 90')"
    (step,) = cast("list[Mapping[str, JSON]]", lean_steps(script, Brief(GOAL, files={"station.ini": STATION}), TOOLS))
    arguments = cast("Mapping[str, JSON]", step["arguments"])
    assert (arguments["old"], arguments["new"]) == ("[upload]\ntimeout = 30", "[upload]\ntimeout = 90")


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ("upload", "upload = { timeout = 90 }", True),
        ("[upload]", "[upload] timeout = 90", True),
        ("[upload]", "[transfer]", False),
        ("[upload]\ntimeout = 30", "[upload]\ntimeout = 90", False),
        ("retries = 3", "retries = 5", False),
        ("\n[upload]\ntimeout = 30\nretries = 3\n", "", True),
    ],
)
@pytest.mark.anyio
async def test_an_edit_does_not_break_the_line_of_a_section(old: str, new: str, broken: bool) -> None:
    step = Step(id=1, tool="edit_file", arguments={"path": "station.ini", "old": old, "new": new})
    found = await lints(Plan(GOAL, (step,)), Brief(GOAL, files={"station.ini": STATION}), TOOLS)
    assert any("it breaks the line [upload] of station.ini" in str(fault) for fault in found) == broken
