"""A day with the command line: what is typed wrong, left for later, changed, interrupted, looked at and forgotten."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.terminal import COMMAND, answering, converse, piped, scripted, surroundings, typed

from forethought.cli import main

CALLS = re.compile(r"\b(?:create_plan|execute_plan|get_plan|report|rollback|stop|reflect|lats_search)\(")
"""How calls of an MCP client read. Whoever types commands has no use for them."""
RUN = re.compile(r"run_[0-9a-f]{12}")


def _step(number: int, tool: str, after: Sequence[int] = (), **arguments: object) -> dict[str, Any]:
    return {
        "id": number,
        "description": f"Do {number}",
        "tool": tool,
        "arguments": [{"name": name, "value": value} for name, value in arguments.items()],
        "depends_on": list(after),
        "expected_output": "",
        "confidence": 0.9,
        "strategy": "direct",
    }


def _environment(tmp_path: Path, work: Path, *steps: Mapping[str, Any], **more: str) -> dict[str, str]:
    """A scripted planner that plans these steps, and a joiner who is content."""
    answer = {"done": True, "answer": "It is done.", "missing": ""}
    model = scripted(tmp_path, {"planner": {"reasoning": "so", "steps": list(steps)}, "joiner": answer})
    told = {"FORETHOUGHT_FOLDERS": str(work), "FORETHOUGHT_MODEL": model, **more}
    return surroundings(tmp_path / "home", **told)


def _run_id(text: str) -> str:
    return next(RUN.finditer(text)).group()


DELETE = (_step(1, "delete_file", path="old.txt"),)
READ = (_step(1, "read_file", path="a.txt"),)


# What is typed


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("run --ask-below 7 x", "a number from 0 to 1"),
        ("run --ask-below nan x", "a number from 0 to 1"),
        ("run --ask-below -0.1 x", "a number from 0 to 1"),
        ("run --max-parallel 0 x", "from 1 to 64"),
        ("run --max-parallel 65 x", "from 1 to 64"),
        ("run --max-parallel 2.5 x", "from 1 to 64"),
        ("run --budget dollars=-1 x", "from 0 on"),
        ("run --budget euros=1 x", "cannot be limited"),
        ("run --budget , x", "limits are needed"),
        ("runs --limit 0", "from 1 on"),
        ("runs --state fled", "invalid choice"),
        ("prune --older-than -1", "0 or more"),
        ("rollback run_x --step 0", "1 or more"),
        ("completion tcsh", "invalid choice"),
        ("run list the files -l", "forethought run 'list the files -l'"),
        ("plan --all of it", "forethought plan 'of it --all'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_folder_that_is_not_there_and_an_empty_goal_are_refused_at_once(tmp_path: Path, work: Path) -> None:
    environment = _environment(tmp_path, work, *READ)
    lost = piped(environment, "plan", "--folder", "/nowhere", "x")
    assert (lost.returncode, "/nowhere" in lost.stderr, lost.stdout) == (2, True, "")
    empty = piped(environment, "run", " ")
    assert (empty.returncode, empty.stdout) == (2, "")
    assert "The goal is empty" in empty.stderr


@pytest.mark.takes(10)
def test_a_plan_is_made_of_a_goal_without_quotes_shown_and_not_run(tmp_path: Path, work: Path) -> None:
    environment = _environment(tmp_path, work, *DELETE)
    planned = piped(environment, "plan", "throw", "--folder", str(work), "it", "all", "away")
    assert planned.returncode == 0, planned.stderr
    assert "delete_file" in planned.stdout
    (how,) = re.findall(r"To run it: \S*forethought (run --resume plan_\w+ --folder \S+)", planned.stdout)
    assert "No runs yet" in piped(environment, "runs").stdout
    assert "throw it all away" in piped(environment, "show", how.split()[2]).stdout
    ran = piped(environment, *how.split())
    assert ran.returncode == 3, ran.stdout + ran.stderr
    assert "decide run_" in ran.stdout


def test_a_shell_completes_commands_and_what_the_journal_knows(tmp_path: Path, work: Path) -> None:
    environment = _environment(tmp_path, work, *DELETE)
    assert "not there" not in _completed(environment, "forethought show ")
    assert not (tmp_path / "home").exists(), "completing a word makes no home"
    run_id = _run_id(piped(environment, "run", "--yes", "x").stdout)
    assert run_id in _completed(environment, "forethought show run_")
    assert "--ask-below" in _completed(environment, "forethought run --ask")
    for shell in ("bash", "zsh", "fish"):
        code = piped(environment, "completion", shell)
        assert (code.returncode, "_ARGCOMPLETE" in code.stdout) == (0, True)


def _completed(environment: Mapping[str, str], line: str) -> str:
    read, write = os.pipe()
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    shell = ["bash", "-c", f"exec {COMMAND} 8>&{write} 9>/dev/null"]
    subprocess.run(shell, env={**environment, **asked}, pass_fds=[write], check=False, timeout=120)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as found:
        return found.read()


def test_serve_in_a_terminal_says_what_it_is(tmp_path: Path, work: Path) -> None:
    react, left = answering([("Ctrl-C ends it", "\x03")])
    status, screen = converse([COMMAND, "serve"], _environment(tmp_path, work), react)
    assert (status, left) == (130, []), screen
    assert 'forethought run "GOAL"' in screen


# What waits


@pytest.mark.takes(15)
def test_what_is_left_for_later_holds_up_nothing_else(tmp_path: Path, work: Path) -> None:
    steps = [
        _step(1, "delete_file", path="old.txt"),
        _step(2, "read_file", path="a.txt"),
        _step(3, "run_command", (2,), command="rm a.txt"),
        _step(4, "write_file", (3,), path="b.txt", content="on"),
    ]
    environment = _environment(tmp_path, work, *steps)
    later = ("decide later", "")
    status, screen = typed(environment, "run", "--yes", "x", answers=[later, ("decide later", "approve")])
    assert status == 3, screen
    assert f"forethought decide {_run_id(screen)}" in screen
    assert f"It waits for you: {COMMAND} decide {_run_id(screen)}" in screen
    assert len([path for path in ("old.txt", "a.txt") if (work / path).exists()]) == 1
    assert screen.count("A person must decide") == 2, "what is left for later is not asked again"
    assert not CALLS.search(screen)


@pytest.mark.takes(12)
def test_a_change_is_made_in_an_editor_and_must_be_a_call_that_can_be_made(tmp_path: Path, work: Path) -> None:
    paths = ["gone.txt", "/etc/passwd", 7, "old.txt", "a.txt"]
    (tmp_path / "paths.json").write_text(json.dumps(paths), encoding="utf-8")
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import json, pathlib, sys\n"
        "left = pathlib.Path(__file__).with_name('paths.json')\n"
        "path, *rest = json.loads(left.read_text())\n"
        "left.write_text(json.dumps(rest))\n"
        "pathlib.Path(sys.argv[1]).write_text(json.dumps({'path': path}))\n",
        encoding="utf-8",
    )
    environment = _environment(tmp_path, work, *DELETE, VISUAL=f"{sys.executable} {editor}")
    edits = [("decide later", "edit")] * len(paths)
    status, screen = typed(environment, "run", "--yes", "x", answers=edits)
    assert status == 0, screen
    assert "There is no 'gone.txt'" in screen
    assert "outside the granted folders" in screen
    assert "7 is not of type 'string'" in screen
    assert "Nothing was changed, so nothing is decided" in screen
    assert (work / "old.txt").exists()
    assert not (work / "a.txt").exists()


@pytest.mark.takes(12)
def test_without_an_editor_the_line_is_filled_in_and_what_fails_then_teaches_nothing(
    tmp_path: Path, work: Path
) -> None:
    steps = [_step(1, "run_command", command="true")]
    environment = _environment(tmp_path, work, *steps)
    answers = [("decide later", "edit"), ('"command": "true"', '\x15{"command": "exit 3"}')]
    status, screen = typed(environment, "run", "--yes", "--replan", "never", "x", answers=answers)
    assert status == 1, screen
    assert "exit 3" in screen
    assert "No lessons yet" in piped(environment, "lessons").stdout


# Ctrl-C


def _endpoint(silent: socket.socket) -> dict[str, str]:
    """The settings of an endpoint that takes calls, and never answers."""
    return {"FORETHOUGHT_BASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}/v1", "FORETHOUGHT_API_KEY": "k"}


@pytest.mark.takes(8)
def test_ctrl_c_while_it_is_planned_says_how_to_go_on(tmp_path: Path, work: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {**_endpoint(silent), "FORETHOUGHT_MODEL": "slow"}
        able = _environment(tmp_path, work, *READ)
        react, left = answering([("making the plan", "\x03")])
        status, screen = converse([COMMAND, "run", "x"], {**able, **settings}, react)
    assert (status, left) == (130, []), screen
    assert f"To go on: {COMMAND} run --resume {_run_id(screen)}" in _words(screen)
    done = piped(able, "run", "--resume", _run_id(screen), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "step 1 read_file: succeeded" in done.stdout


@pytest.mark.takes(20)
def test_ctrl_c_at_a_question_and_at_work_says_how_to_go_on_and_it_does(tmp_path: Path, work: Path) -> None:
    steps = [_step(1, "run_command", command="until [ -e go ]; do sleep 0.1; done")]
    environment = _environment(tmp_path, work, *steps)
    status, screen = typed(environment, "run", "--yes", "x", answers=[("decide later", "\x03")])
    assert status == 130, screen
    (how,) = re.findall(r"To go on: \S+ (run --resume run_\w+ --folder \S+)", _words(screen))
    answers = [("decide later", "approve"), ("running", "\x03")]
    status, screen = typed(environment, *how.split(), answers=answers)
    assert status == 130, screen
    assert f"To go on: {COMMAND} {how}" in _words(screen)
    (work / "go").touch()
    answers = [("decide later", "again"), ("decide later", "approve")]
    status, screen = typed(environment, *how.split(), answers=answers)
    assert status == 0, screen


def _words(screen: str) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen).split())


# Runs whose server is gone


@pytest.mark.takes(20)
def test_a_run_whose_server_was_killed_is_told_ended_without_one_and_undone(tmp_path: Path, work: Path) -> None:
    steps = [
        _step(1, "write_file", path="b.txt", content="on"),
        _step(2, "run_command", (1,), command="echo $PPID > begun; sleep 60"),
    ]
    environment = _environment(tmp_path, work, *steps)
    killed: list[int] = []

    def react(screen: str) -> str | None:
        if "decide later" in screen and not killed:
            killed.append(0)
            return "approve"
        if killed == [0] and (work / "begun").exists() and (work / "begun").read_text(encoding="utf-8"):
            killed.append(1)
            os.kill(int((work / "begun").read_text(encoding="utf-8")), signal.SIGKILL)
        return None

    status, screen = converse([COMMAND, "run", "--yes", "x"], environment, react)
    assert status == -signal.SIGKILL, screen
    (row,) = json.loads(piped(environment, "runs", "--json", "--state", "stale").stdout)
    assert row["kind"] == "plan"
    shown = piped(environment, "show", row["run_id"]).stdout
    assert "status: stale" in shown
    assert "Its server is gone" in shown
    assert "the next one that takes it up pauses it" in piped(environment, "pause", row["run_id"]).stdout
    undo = ("rollback", row["run_id"], "--dry-run")
    assert f"forethought cancel {row['run_id']}" in piped(environment, *undo).stderr
    cancelled = piped(environment, "cancel", row["run_id"])
    assert f"forethought rollback {row['run_id']}" in cancelled.stdout
    assert json.loads(piped(environment, "runs", "--json").stdout)[0]["state"] == "cancelled"
    assert "delete b.txt" in piped(environment, *undo).stdout
    assert "Intact" in piped(environment, "verify").stdout


# What is looked at


def test_runs_of_several_states_are_listed_and_there_being_more_is_told_with_these_states(
    tmp_path: Path, work: Path
) -> None:
    environment = _environment(tmp_path, work, *DELETE)
    for goal in ("one", "two"):
        piped(environment, "run", "--yes", goal)
    listed = piped(environment, "runs", "--state", "Waiting", "--state", "not resumed", "--limit", "1").stdout
    assert "two" in listed
    assert "runs --state waiting --state 'not resumed' --limit 5" in listed
    none = piped(environment, "runs", "--state", "failed", "--state", "cancelled").stdout
    assert "No run is failed or cancelled." in none


@pytest.mark.takes(20)
def test_what_is_looked_at_is_whole_as_json_and_fits_a_narrow_terminal(tmp_path: Path, work: Path) -> None:
    environment = _environment(tmp_path, work, *DELETE)
    goal = "a goal\nthat is much too long for such a narrow terminal"
    run_id = _run_id(piped(environment, "run", "--yes", goal).stdout)
    (row,) = json.loads(piped(environment, "runs", "--json").stdout)
    assert row.keys() == {"run_id", "plan_id", "kind", "state", "goal", "folders", "created", "ended"}
    assert (row["run_id"], row["state"], row["goal"], row["ended"]) == (run_id, "waiting", goal, None)
    assert json.loads(piped(environment, "runs", "--json", "--state", "failed").stdout) == []
    for columns in ("40", "80", "120"):
        listed = piped({**environment, "COLUMNS": columns}, "runs").stdout
        assert re.search(rf"{run_id} +waiting ", listed), listed
        assert "\\u000a" not in listed
    shown = json.loads(piped(environment, "show", run_id, "--json").stdout)
    assert {"run_id", "plan_id", "status", "progress", "waiting_on", "steps", "next"} <= shown.keys()
    assert shown["waiting_on"] == ['you: Step 1 wants to call delete_file. {"path": "old.txt"}']
    plan = json.loads(piped(environment, "show", row["plan_id"], "--json").stdout)
    assert plan["steps"][0]["tool"] == "delete_file"
    assert json.loads(piped(environment, "lessons", "--json").stdout) == []
    found = json.loads(piped(environment, "doctor", "--json").stdout)
    assert found["ok"] is True
    assert {"name": "folder", "text": str(work)} in found["found"]
    missing = piped(environment, "show", "run_none", "--json")
    assert (missing.returncode, missing.stdout) == (1, "")
    piped(environment, "cancel", run_id)
    said = [
        piped(environment, *words)
        for words in (("show", run_id), ("show", row["plan_id"]), ("run", "--resume", run_id))
    ]
    assert not [each.stdout + each.stderr for each in said if CALLS.search(each.stdout + each.stderr)]


@pytest.mark.takes(8)
def test_what_happens_is_told_in_plain_lines_where_there_is_no_terminal(tmp_path: Path, work: Path) -> None:
    environment = _environment(tmp_path, work, *READ)
    done = piped(environment, "run", "--yes", "x")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^\d+ s  making the plan$", done.stdout, re.MULTILINE)
    assert re.search(r"^\d+ s  step 1 read_file: succeeded$", done.stdout, re.MULTILINE)
    assert not [char for char in done.stdout if ord(char) < 32 and char != "\n"]


@pytest.mark.takes(8)
def test_where_only_some_characters_can_be_shown_the_others_have_their_numbers(tmp_path: Path, work: Path) -> None:
    environment = {**_environment(tmp_path, work, *READ), "PYTHONIOENCODING": "ascii"}
    done = piped(environment, "run", "--yes", "Größe ✓")
    assert done.returncode == 0, done.stderr
    assert "Gr\\xf6\\xdfe \\u2713" in piped(environment, "runs").stdout
    (row,) = json.loads(piped(environment, "runs", "--json").stdout)
    assert "Größe ✓" in row.values()


@pytest.mark.takes(8)
def test_a_plan_that_changes_on_the_way_says_so_and_why(tmp_path: Path, work: Path) -> None:
    environment = _environment(tmp_path, work)
    script = tmp_path / "script.json"
    steps = [_step(1, "read_file", path="none.txt"), _step(2, "read_file", path="a.txt")]
    plans = [{"reasoning": "so", "steps": [step]} for step in steps]
    joiner = {"always": {"done": True, "answer": "It is done.", "missing": ""}}
    script.write_text(json.dumps({"planner": plans, "joiner": [joiner]}), encoding="utf-8")
    done = piped({**environment, "FORCE_COLOR": "1"}, "run", "--yes", "x")
    assert done.returncode == 0, done.stdout + done.stderr
    plain = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    assert "\x1b" not in plain, "colours may be forced into a pipe, and nothing that moves"
    assert "The plan was changed: revision 2." in plain
    for line in ("  why: step 1 failed: ", "  - 1. read_file (low): Do 1", '  + 2. read_file (low) {"path": "a.txt"}'):
        assert line in plain


@pytest.mark.takes(10)
def test_while_the_rest_is_planned_anew_that_is_said(tmp_path: Path, work: Path) -> None:
    environment = _environment(tmp_path, work, _step(1, "read_file", path="none.txt"))
    (plan_id,) = set(re.findall(r"plan_[0-9a-f]{12}", piped(environment, "plan", "x").stdout))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        planner = {**_endpoint(silent), "FORETHOUGHT_MODEL_PLANNER": "slow"}
        react, left = answering([("planning the rest anew", "\x03")])
        status, screen = converse([COMMAND, "run", "--yes", "--resume", plan_id], {**environment, **planner}, react)
    assert (status, left) == (130, []), screen


# What is forgotten


@pytest.mark.takes(12)
def test_nothing_is_forgotten_before_a_person_agrees(tmp_path: Path, work: Path) -> None:
    environment = _environment(tmp_path, work, *READ)
    assert piped(environment, "prune", "--older-than", "0").returncode == 0, "there is nothing to ask about"
    assert piped(environment, "run", "--yes", "x").returncode == 0
    unasked = piped(environment, "prune", "--older-than", "0")
    assert (unasked.returncode, "--yes" in unasked.stderr) == (3, True)
    status, screen = typed(environment, "prune", "--older-than", "0", answers=[("[y/N]", "")])
    assert (status, "Nothing was forgotten" in screen) == (1, True)
    assert len(json.loads(piped(environment, "runs", "--json").stdout)) == 1
    assert "Forgotten: " in piped(environment, "prune", "--older-than", "0", "--yes").stdout
    assert piped(environment, "runs", "--json").stdout == "[]\n"
