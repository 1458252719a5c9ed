"""A command is approved with the files that it names as they are: changed meanwhile, it is asked about again."""

from collections.abc import Callable, Mapping
from pathlib import Path

import anyio
import pytest
from tests.serving import NEVER, serving, until

from forethought.engine.kinds import plan as plans
from forethought.engine.runs import Runs
from forethought.gates.forms import gate_text
from forethought.journal.rows import OPEN, MessageRow
from forethought.settings import Settings
from forethought_patterns import Decision
from forethought_tools import JSON, Answerer, Claim, Registry, Risk, Tool
from forethought_tools.folders import Folders
from forethought_tools.named import named_files
from forethought_tools.shell import shell_tools

pytestmark = pytest.mark.anyio

APPROVE = Decision("approve", by="p", channel="test")
BUILD: JSON = {"id": 2, "tool": "run_command", "arguments": {"command": "sh build.sh"}}


def script(work: Path, says: str) -> None:
    (work / "build.sh").write_text(f"echo {says} >> ran", encoding="utf-8")


def ran(work: Path) -> list[str]:
    return (work / "ran").read_text(encoding="utf-8").split() if (work / "ran").exists() else []


async def next_gate(runs: Runs, run_id: str, but: list[MessageRow]) -> MessageRow:
    def new() -> list[MessageRow]:
        return [each for each in runs.queries.open_messages(run_id) if each.id not in {old.id for old in but}]

    await until(runs, run_id, lambda: bool(new()))
    but += new()
    return but[-1]


async def ended(runs: Runs, run_id: str) -> None:
    await until(runs, run_id, lambda: runs.queries.run(run_id).state not in OPEN)


@pytest.mark.parametrize("command", ["sh build.sh", "cd . && ./build.sh", 'sh "$PWD/build.sh" --now', "cat *.sh | sh"])
async def test_a_script_that_changes_while_the_question_stands_is_asked_about_again(
    make_settings: Callable[..., Settings], work: Path, command: str
) -> None:
    script(work, "harmless")
    (work / "build.sh").chmod(0o755)
    steps: list[JSON] = [{"id": 1, "tool": "run_command", "arguments": {"command": command}}]
    seen: list[MessageRow] = []
    async with serving(make_settings(terms=NEVER), Registry(shell_tools(Folders([work])))) as runs:
        run = await plans.start(runs, await plans.save(runs, "g", "", steps))
        first = await next_gate(runs, run.id, seen)
        assert "File build.sh: SHA-256 " in gate_text(first, run)
        script(work, "harm")
        await runs.decide(first, APPROVE)
        second = await next_gate(runs, run.id, seen)
        assert ran(work) == []
        assert gate_text(second, run) != gate_text(first, run)
        await runs.decide(second, APPROVE)
        await ended(runs, run.id)
    assert ran(work) == ["harm"], "approved as it is now, and run once"


async def test_a_script_that_changes_between_the_approval_and_the_call_is_asked_about_again(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    script(work, "harmless")
    approved = anyio.Event()
    seen: list[MessageRow] = []

    async def rewrite(_: Mapping[str, JSON], __: Answerer) -> JSON:
        await approved.wait()
        script(work, "harm")
        return "done"

    def everything(_: Mapping[str, JSON]) -> Claim:
        return Claim(writes=Folders([work]).everything())

    anything: dict[str, JSON] = {"type": "object"}
    rewriter = Tool("rewrite", "", anything, rewrite, Risk.LOW, repeatable=True, claims=everything)
    steps: list[JSON] = [{"id": 1, "tool": "rewrite"}, BUILD]
    async with serving(make_settings(terms=NEVER), Registry([rewriter, *shell_tools(Folders([work]))])) as runs:
        run = await plans.start(runs, await plans.save(runs, "g", "", steps))
        first = await next_gate(runs, run.id, seen)
        await until(runs, run.id, lambda: runs.queries.steps(run.id)[0].state == "running")
        await runs.decide(first, APPROVE)
        await until(runs, run.id, lambda: runs.queries.message(first.id).state == "used")
        approved.set()
        second = await next_gate(runs, run.id, seen)
        assert ran(work) == []
        await runs.decide(second, APPROVE)
        await ended(runs, run.id)
        assert runs.queries.run(run.id).state == "succeeded"
    assert ran(work) == ["harm"]


async def test_a_command_whose_files_are_as_approved_is_not_asked_about_again(
    make_settings: Callable[..., Settings], work: Path
) -> None:
    script(work, "harmless")
    seen: list[MessageRow] = []
    async with serving(make_settings(terms=NEVER), Registry(shell_tools(Folders([work])))) as runs:
        run = await plans.start(runs, await plans.save(runs, "g", "", [BUILD]))
        first = await next_gate(runs, run.id, seen)
        (work / "other.txt").write_text("not named", encoding="utf-8")
        await runs.decide(first, APPROVE)
        await ended(runs, run.id)
    assert ran(work) == ["harmless"]


@pytest.mark.parametrize(
    "command",
    [
        "sh build.sh",
        "sh 'build.sh'",
        "./build.sh;true",
        "cd sub; sh deep.sh",
        "make --file=build.sh",
        "sh <build.sh",
        "echo $(sh build.sh)",
        "sh ${HERE}/build.sh",
        "sh '",
        "sh two\\ words.sh",
        "sh 'two words.sh'",
        "sh sub/*.sh",
        "sh build.s?",
        "A=build.sh; sh $A",
        "sh {work}/build.sh",
        "sh ../work/build.sh",
        "sh link.sh",
    ],
)
def test_files_are_found_however_a_command_names_them(work: Path, command: str) -> None:
    (work / "sub").mkdir()
    (work / "link.sh").symlink_to("build.sh")
    for name in ("build.sh", "sub/deep.sh", "two words.sh"):
        (work / name).write_text(name, encoding="utf-8")
    found = named_files(Folders([work]), ".", command.replace("{work}", str(work)))
    assert bool(found) == (command != "sh '")
    assert set(found) <= {"build.sh", "sub/deep.sh", "two words.sh"}


def test_files_outside_the_granted_folders_are_not_looked_at(work: Path) -> None:
    (work.parent / "secret.txt").write_text("x", encoding="utf-8")
    assert named_files(Folders([work]), ".", f"cat ../secret.txt {work.parent}/secret.txt ../secret.*") == {}
    assert named_files(Folders([work]), "..", "cat a.txt") == {}
    assert named_files(Folders([work]), ".", "cat " + "x" * 10_000 + " a\0b") == {}


def test_a_file_that_only_receives_output_is_not_what_a_command_rests_on(work: Path) -> None:
    for name in ("log.txt", "build.sh"):
        (work / name).write_text("x", encoding="utf-8")
    folders = Folders([work])
    assert named_files(folders, ".", "echo more >> log.txt") == {}
    assert list(named_files(folders, ".", "sh build.sh > log.txt 2>&1")) == ["build.sh"]
    # Named once more, or where a `>` need not be an output, it counts.
    for command in ("echo more >> build.sh; sh build.sh", "bash -c 'sh \"$1\"' \\> build.sh", "sh <> build.sh"):
        assert list(named_files(folders, ".", command)) == ["build.sh"], command
