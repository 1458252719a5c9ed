"""The README's first command, really: a small model plans, a person at a terminal approves, a file is the judge."""

import csv
import os
import pty
import re
import select
import shlex
import shutil
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from forethought.models.fetch import catalogue, fetch
from forethought_tools import ModelError

ROOT = Path(__file__).parent.parent.parent
COMMAND = str(Path(sys.executable).parent / "forethought")
SECONDS = 900  # two minutes on two quiet cores


@pytest.fixture(scope="session")
def models() -> Path:
    """A data folder that holds the 1.5B model, kept between runs."""
    home = Path(os.environ.get("FORETHOUGHT_TEST_MODELS", "~/.cache/forethought-test-models")).expanduser()
    try:
        fetch(catalogue()["qwen2.5-coder-1.5b"], home, hub=os.environ.get("FORETHOUGHT_MODEL_HUB", "off"))
    except ModelError as error:
        if not error.transient or "CI" in os.environ:
            raise
        pytest.skip(f"the model cannot be fetched here: {error}")
    return home


def _command_of_the_readme() -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- main job -->\n```bash\n(.*?)\n```", readme, re.DOTALL)
    assert block
    last = block[1].split(" && ")[-1]
    words = shlex.split(last)
    assert words[:4] == [".venv/bin/forethought", "run", "--folder", "demo"]
    return words


def _totals(file: Path, column: str) -> dict[str, float]:
    totals: defaultdict[str, float] = defaultdict(float)
    with file.open(encoding="utf-8", newline="") as rows:
        for row in csv.DictReader(rows):
            totals[row["region"]] += float(row[column])
    return dict(totals)


def test_the_readmes_main_job_on_the_embedded_model(models: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "shop", tmp_path / "demo")
    arguments = [COMMAND, *_command_of_the_readme()[1:]]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "COLUMNS": "120",
        "FORETHOUGHT_HOME": str(tmp_path / "home"), "FORETHOUGHT_MODEL": "local",
    }  # fmt: skip
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "models").symlink_to(models / "models")

    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        os.execve(COMMAND, arguments, environment)
    screen, deadline = "", time.monotonic() + SECONDS
    answers = [("Run this plan? [Y/n]", "y"), ("to decide later", "approve")]
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            screen += os.read(terminal, 65536).decode("utf-8", "replace")
        except OSError:  # the command has ended
            break
        if answers and answers[0][0] in screen:
            os.write(terminal, f"{answers.pop(0)[1]}\n".encode())
    os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    assert status == 0, screen
    assert answers == [], f"never asked: {answers}\n{screen}"
    assert "wants to call delete_file" in screen
    assert not (tmp_path / "demo" / "draft.md").exists()
    report = (tmp_path / "demo" / "report.md").read_text(encoding="utf-8")
    numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", report.replace(",", ""))}
    for file, column in (("orders.csv", "amount"), ("returns.csv", "refund")):
        for region, total in _totals(ROOT / "examples" / "shop" / file, column).items():
            assert region in report
            assert total in numbers, f"{region}: {total} is not in the report:\n{report}"
