"""The README's first command, really: a small model plans, a person at a terminal approves, a file is the judge."""

import csv
import re
import shlex
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from tests.terminal import COMMAND, answering, converse, surroundings

ROOT = Path(__file__).parent.parent.parent
SECONDS = 900  # two minutes on two quiet cores


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


@pytest.mark.takes(110)
def test_the_readmes_main_job_on_the_embedded_model(models: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples" / "shop", tmp_path / "demo")
    arguments = [COMMAND, *_command_of_the_readme()[1:]]
    environment = surroundings(tmp_path / "home", HOME=str(tmp_path), FORETHOUGHT_MODEL="local")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "models").symlink_to(models / "models")

    react, left = answering([("Run this plan? [Y/n]", "y"), ("to decide later", "approve")])
    status, screen = converse(arguments, environment, react, folder=tmp_path, seconds=SECONDS)

    assert status == 4, screen
    assert "Not verified: " in screen, "nobody has checked what a small model asked for"
    assert left == [], f"never asked: {left}\n{screen}"
    assert "wants to call delete_file" in screen
    assert not (tmp_path / "demo" / "draft.md").exists()
    report = (tmp_path / "demo" / "report.md").read_text(encoding="utf-8")
    numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", report.replace(",", ""))}
    for file, column in (("orders.csv", "amount"), ("returns.csv", "refund")):
        for region, total in _totals(ROOT / "examples" / "shop" / file, column).items():
            assert region in report
            assert total in numbers, f"{region}: {total} is not in the report:\n{report}"
