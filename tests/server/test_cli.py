"""The command line, as a person at a terminal uses it, and as a program without one meets it."""

import inspect
import json
import re
import subprocess
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from tests.terminal import COMMAND, piped, scripted, surroundings, typed

from forethought.cli import parser

STEPS = [
    {"id": 1, "description": "Read it", "tool": "read_file", "arguments": [{"name": "path", "value": "a.txt"}]},
    {
        "id": 2,
        "description": "Word it",
        "tool": "write",
        "arguments": [{"name": "brief", "value": "shout"}, {"name": "material", "value": "{{1}}"}],
    },
    {
        "id": 3,
        "description": "Save it",
        "tool": "write_file",
        "arguments": [{"name": "path", "value": "b.txt"}, {"name": "content", "value": "{{2}}"}],
    },
    {
        "id": 4,
        "description": "Tidy up",
        "tool": "delete_file",
        "depends_on": [3],
        "arguments": [{"name": "path", "value": "old.txt"}],
    },
]


@pytest.fixture
def environment(tmp_path: Path, work: Path) -> dict[str, str]:
    rest: dict[str, Any] = {"depends_on": [], "expected_output": "", "confidence": 0.9, "strategy": "direct"}
    plan = {"reasoning": "four steps", "steps": [{**rest, **step} for step in STEPS]}
    answer = {"done": True, "answer": "It is shouted and saved.", "missing": ""}
    model = scripted(tmp_path, {"planner": plan, "executor": "ALPHA", "joiner": answer})
    return surroundings(tmp_path / "home", FORETHOUGHT_FOLDERS=str(work), FORETHOUGHT_MODEL=model)


@pytest.mark.parametrize(
    "line",
    [
        *("serve", "run it", "plan it", "runs", "show id", "rollback id", "pause id", "resume id", "cancel id"),
        *("verify", "export", "prune --older-than 1", "lessons", "decide", "doctor", "model fetch", "completion zsh"),
        *("recipes", "recipes --json", "recipes show x", "recipes name run_1 x a=b", "recipes forget x"),
    ],
)
def test_every_command_is_run_by_a_function_that_takes_its_options(line: str) -> None:
    options = vars(parser().parse_args(line.split()))
    function = resolve_name(options.pop("run"))
    inspect.signature(function).bind(
        None, **{name: options[name] for name in options.keys() - {"folder", "model", "servers"}}
    )


def test_a_goal_is_planned_shown_run_asked_about_and_answered(environment: dict[str, str], work: Path) -> None:
    status, screen = typed(
        environment,
        "run",
        "Shout a.txt into b.txt, delete old.txt",
        answers=[("Run this plan? [Y/n]", ""), ("to decide later", "maybe"), ("to decide later", "approve")],
    )
    assert status == 0, screen
    assert "4 steps, up to 1 at once, longest chain 4" in screen
    assert "wants to call delete_file" in screen
    assert "path: old.txt" in screen
    assert "succeeded" in screen
    assert "It is shouted and saved." in screen
    assert "journal.sqlite" in screen
    assert (work / "b.txt").read_text(encoding="utf-8") == "ALPHA"
    assert not (work / "old.txt").exists()


def test_a_person_can_say_no_to_the_plan_and_to_a_step(environment: dict[str, str], work: Path) -> None:
    status, screen = typed(environment, "run", "x", answers=[("Run this plan?", "n")])
    assert status == 3
    assert "Not run" in screen
    assert not (work / "b.txt").exists()
    status, screen = typed(
        environment,
        "run",
        "x",
        answers=[("Run this plan?", "y"), ("to decide later", "reject"), ("Why", "I still need it")],
    )
    assert status == 1
    assert "I still need it" in screen
    assert (work / "old.txt").exists()


def test_yes_runs_the_plan_but_never_approves_what_is_risky(environment: dict[str, str], work: Path) -> None:
    done = piped(environment, "run", "--yes", "x")
    assert done.returncode == 3
    assert "forethought decide run_" in done.stdout
    assert (work / "b.txt").exists()
    assert (work / "old.txt").exists()


def test_without_a_terminal_and_without_yes_nothing_runs(environment: dict[str, str], work: Path) -> None:
    done = piped(environment, "run", "x")
    assert done.returncode == 3
    assert "--yes" in done.stderr
    assert not (work / "b.txt").exists()


def test_decide_takes_a_person_and_resume_goes_on(environment: dict[str, str], work: Path) -> None:
    waiting = piped(environment, "run", "--yes", "x").stdout
    run_id = next(word for word in waiting.split() if word.startswith("run_")).strip(":.")
    refused = piped(environment, "decide", run_id)
    assert refused.returncode == 3
    assert "needs a terminal" in refused.stderr
    assert typed(environment, "decide", run_id, answers=[("to decide later", "")])[0] == 3, "later is fine"
    status, screen = typed(environment, "decide", answers=[("to decide later", "approve")])
    assert status == 0
    assert "approve: recorded" in screen
    assert piped(environment, "decide", run_id).returncode == 3
    done = piped(environment, "run", "--resume", run_id)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (work / "old.txt").exists()


def test_what_happened_can_be_read(environment: dict[str, str]) -> None:
    assert "No runs yet" in piped(environment, "runs").stdout
    waiting = piped(environment, "run", "--yes", "a goal of mine").stdout
    run_id = next(word for word in waiting.split() if word.startswith("run_")).strip(":.")
    listed = piped(environment, "runs").stdout
    assert run_id in listed
    assert "a goal of mine" in listed
    shown = piped(environment, "show", run_id).stdout
    assert "3 of 4 steps succeeded" in shown
    facts = [json.loads(line)["fact"] for line in piped(environment, "show", run_id, "--journal").stdout.splitlines()]
    assert facts[0] == "run_created"
    assert facts[-1] == "run_parked"
    missing = piped(environment, "show", "run_nobody")
    assert missing.returncode == 1
    assert "There is no run 'run_nobody'" in missing.stderr


def test_doctor_says_what_was_found_and_how_to_mend_the_rest(environment: dict[str, str], work: Path) -> None:
    done = piped(environment, "doctor")
    assert done.returncode == 0
    for found in ("scripted:", str(work), "journal.sqlite", "delete_file, run_command, send_email"):
        assert found in done.stdout
    here = {name: value for name, value in environment.items() if name != "FORETHOUGHT_FOLDERS"}
    lost = subprocess.run([COMMAND, "doctor"], env=here, cwd="/", capture_output=True, text=True, check=False)
    assert lost.returncode == 1, "the root is never granted by accident"
    assert "--folder DIR, or FORETHOUGHT_FOLDERS" in lost.stdout
    for model, mend in (("local", "forethought model fetch"), ("scripted:/nope", "/nope"), ("local:none", "Known:")):
        broken = piped({**environment, "FORETHOUGHT_MODEL": model}, "doctor")
        assert broken.returncode == 1, model
        assert mend in broken.stdout


def test_ids_are_shown_whole_however_narrow_the_terminal(environment: dict[str, str]) -> None:
    waiting = piped(environment, "run", "--yes", "a goal that is much too long for such a narrow terminal").stdout
    run_id = next(word for word in waiting.split() if word.startswith("run_")).strip(":.")
    assert run_id in piped({**environment, "COLUMNS": "80"}, "runs").stdout


def test_a_run_can_be_interrupted_at_a_question(environment: dict[str, str]) -> None:
    status, screen = typed(environment, "run", "x", answers=[("Run this plan?", "\x03")])
    assert status == 130
    assert "interrupted" in screen


def test_a_model_for_planning_alone_is_enough_to_plan(environment: dict[str, str]) -> None:
    planner = {"FORETHOUGHT_MODEL": "host", "FORETHOUGHT_MODEL_PLANNER": environment["FORETHOUGHT_MODEL"]}
    done = piped({**environment, **planner}, "run", "--yes", "x")
    assert done.returncode == 3
    assert "order" in done.stdout + done.stderr or "report" in done.stdout


def test_without_a_model_run_names_the_ways_to_get_one(environment: dict[str, str]) -> None:
    done = piped({**environment, "FORETHOUGHT_MODEL": "host"}, "run", "x")
    assert done.returncode == 1
    for way in ("FORETHOUGHT_BASE_URL", "FORETHOUGHT_API_KEY", "forethought model fetch"):
        assert way in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FORETHOUGHT_FOLDERS", "/nonexistent"),
        ("FORETHOUGHT_ALLOW_PRIVATE_ADDRESSES", "maybe"),
        ("FORETHOUGHT_SMTP_URL", "ftp://x"),
        ("FORETHOUGHT_SMTP_URL", "smtp://u:hunter22@h:port"),
        ("FORETHOUGHT_MODEL", "local:nonsense"),
        ("FORETHOUGHT_ASK_FORM", "low"),
        ("FORETHOUGHT_HOME", "/dev/null/x"),
        ("FORETHOUGHT_HOME", "/dev/null"),
    ],
)
def test_a_wrong_setting_is_named_and_its_secret_is_not(environment: dict[str, str], name: str, value: str) -> None:
    done = piped({**environment, name: value, "FORETHOUGHT_SMTP_FROM": "a@example.org"}, "run", "--yes", "x")
    assert done.returncode != 0
    assert name in done.stderr + done.stdout
    assert "hunter22" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_without_a_command_all_commands_are_told(environment: dict[str, str]) -> None:
    done = piped(environment)
    assert (done.returncode, done.stdout) == (2, "")
    for command in ("serve", "run", "decide", "rollback", "--help"):
        assert command in done.stderr


@pytest.mark.takes(18)
def test_what_cannot_be_steered_says_in_which_state_it_is(environment: dict[str, str]) -> None:
    waiting = piped(environment, "run", "--yes", "x").stdout
    run_id = next(word for word in waiting.split() if word.startswith("run_")).strip(":.")
    assert f"{run_id} is waiting: it is not paused." in piped(environment, "resume", run_id).stderr
    assert piped(environment, "cancel", run_id).returncode == 0
    assert "cancelled" in piped(environment, "runs").stdout, "no server is needed for that"
    assert "Nothing waits" in typed(environment, "decide", run_id, answers=[])[1]
    for command in ("pause", "cancel"):
        assert f"{run_id} is cancelled: " in piped(environment, command, run_id).stderr


@pytest.mark.takes(8)
def test_an_id_of_the_wrong_kind_is_told_what_it_is(environment: dict[str, str]) -> None:
    waiting = piped(environment, "run", "--yes", "x").stdout
    words = [word.strip(":.`") for word in waiting.split()]
    run_id = next(word for word in words if word.startswith("run_"))
    plan_id = next(word for word in words if word.startswith("plan_"))
    for command in ("pause", "rollback"):
        assert f"{plan_id} is a plan. Its latest run is {run_id}." in piped(environment, command, plan_id).stderr
    assert "`forethought runs` lists" in piped(environment, "show", "plan_none").stderr
    step = piped(environment, "rollback", run_id, "--step", "0")
    assert (step.returncode, "1 or more" in step.stderr) == (2, True)


@pytest.mark.takes(8)
def test_what_was_decided_while_no_server_is_there_says_how_it_goes_on(environment: dict[str, str], work: Path) -> None:
    waiting = piped(environment, "run", "--yes", "x").stdout
    run_id = next(word for word in waiting.split() if word.startswith("run_")).strip(":.")
    _, screen = typed(environment, "decide", run_id, answers=[("to decide later", "approve")])
    again = f"run --resume {run_id} --folder {work}"
    assert again in " ".join(screen.split())
    shown = piped(environment, "show", run_id).stdout
    assert "It was answered, and goes on with the next server that starts" in shown
    assert again in " ".join(shown.split())
    assert "failed" not in shown
    assert "succeeded" in piped(environment, *again.split()).stdout


@pytest.mark.takes(8)
def test_lessons_are_listed_and_forgotten(environment: dict[str, str]) -> None:
    assert "No lessons yet" in piped(environment, "lessons").stdout
    status, screen = typed(
        environment,
        "run",
        "x",
        answers=[("Run this plan?", "y"), ("to decide later", "reject"), ("Why", "never delete")],
    )
    assert status != 0, screen
    listed = piped(environment, "lessons").stdout
    assert 'A person rejected delete_file {"path": "old.txt"}: never delete' in listed
    lesson = next(word for word in listed.split() if word.startswith("lesson_"))
    unknown = piped(environment, "lessons", "--forget", "lesson_none")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "Forgotten: 1." in piped(environment, "lessons", "--forget", lesson).stdout
    assert "never delete" not in piped(environment, "lessons").stdout
    typed(environment, "run", "x", answers=[("Run this plan?", "y"), ("to decide later", "reject"), ("Why", "never")])
    unasked = piped(environment, "lessons", "--forget", "all")
    assert (unasked.returncode, "all lessons (1) would be forgotten" in unasked.stderr) == (3, True)
    refused, screen = typed(environment, "lessons", "--forget", "all", answers=[("Forget all lessons (1)?", "")])
    assert (refused, "Nothing was forgotten" in screen) == (1, True)
    assert "never" in piped(environment, "lessons").stdout
    piped(environment, "lessons", "--forget", "all", "--yes")
    assert "No lessons yet" in piped(environment, "lessons").stdout


def test_a_run_is_rolled_back_at_the_terminal(environment: dict[str, str], work: Path) -> None:
    status, screen = typed(environment, "run", "x", answers=[("Run this plan?", "y"), ("to decide later", "approve")])
    assert status == 0, screen
    run = re.findall(r"run_[0-9a-f]{12}", screen)[0]
    dry = piped(environment, "rollback", run, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would be undone: delete b.txt" in dry.stdout
    assert "stays done: step 4 delete_file" in dry.stdout
    assert (work / "b.txt").exists()
    assert piped(environment, "rollback", run).returncode == 3, "without a terminal nobody can agree"
    assert (work / "b.txt").exists()
    status, screen = typed(environment, "rollback", run, answers=[("to decide later", "approve")])
    assert status == 0, screen
    assert "undone: delete b.txt" in screen
    assert not (work / "b.txt").exists()
