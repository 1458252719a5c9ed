"""Ten pieces of work of about three calls each, done by the embedded model in the loop of `delegate`: how many come out
right, with how many calls. The model must be fetched. The prompt was partly fitted to the first ten; `--second` does
ten others.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from forethought.models.fetch import catalogue, model_file
from forethought.models.local import LocalModel
from forethought.settings import Settings
from forethought_patterns import InMemoryJournal, Policy, Step, Tried
from forethought_patterns.agent import Bounds, delegated
from forethought_patterns.tool_calls import ToolCalls
from forethought_tools import ForethoughtError, Registry
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

MODEL = "qwen2.5-coder-1.5b"
FILES: Mapping[str, str] = {
    "orders.csv": "region,amount\nWest,10\nEast,25\nWest,30\nNorth,5\n",
    "prices.csv": "product,price\ndesk,249\nlamp,39\nrug,59\n",
    "people.csv": "name,town,age\nAda,Oslo,36\nBen,Rome,41\nCyn,Oslo,29\n",
    "notes/monday.txt": "The harbour is closed.\nCall Ben about the key: 4711.\n",
    "notes/tuesday.txt": "The mill runs again.\nThe budget is 1200 euros.\n",
    "notes/friday.txt": "Ada has the red folder.\nThe train leaves at 17:05.\n",
    "plan.txt": "First the mill, then the harbour.\n",
}
MORE_FILES: Mapping[str, str] = {
    "trips.csv": "city,days,cost\nOslo,3,410\nRome,5,620\nOslo,2,290\nBern,4,880\n",
    "staff.csv": "name,team,hours\nEva,north,31\nFinn,south,40\nGus,north,27\n",
    "logs/a.txt": "The pump was mended by Hal.\nPressure is 88.\n",
    "logs/b.txt": "The lift stands still since 06:40.\nIda has the report.\n",
    "logs/c.txt": "Gate code: 7315.\nThe lamp in hall 4 is out.\n",
    "order.txt": "Look at the lift first, then at the pump.\n",
}
LOOKS = ("list_files", "search_files", "read_file")
SUMS = ("read_file", "query_table", "calculate")


@dataclass(frozen=True)
class Work:
    """A task, the tools for it, and what a right answer holds."""

    task: str
    tools: Sequence[str]
    holds: str


WORK: Sequence[Work] = (
    Work("List the files, find the note about the key, read it, and tell the number of the key.", LOOKS, "4711"),
    Work("Search for the file that names the budget, read it, and tell how many euros it is.", LOOKS, "1200"),
    Work("Find out at what time the train leaves. It stands in one of the notes.", LOOKS, "17:05"),
    Work("Find out who has the red folder. It stands in one of the notes.", LOOKS, "Ada"),
    Work(
        "Read plan.txt, then find the note about what comes first there, and tell what that note says.", LOOKS, "runs"
    ),
    Work("Sum the amount of the region West in orders.csv, then multiply it by 3.", SUMS, "120"),
    Work("Find the price of a desk and of a lamp in prices.csv, and tell their sum.", SUMS, "288"),
    Work("Find the youngest person in people.csv, and tell in which town that person lives.", SUMS, "Oslo"),
    Work("Find the region with the largest sum in orders.csv, and tell its sum divided by 4.", SUMS, "10"),
    Work("Read prices.csv, find the cheapest product, and tell its price with 20 percent added.", SUMS, "46.8"),
)
MORE_WORK: Sequence[Work] = (
    Work("List the files, find the log that tells the gate code, read it, and tell the code.", LOOKS, "7315"),
    Work("Search for the file that names the pressure, read it, and tell the pressure.", LOOKS, "88"),
    Work("Find out since when the lift stands still. It stands in one of the logs.", LOOKS, "06:40"),
    Work("Find out who mended the pump. It stands in one of the logs.", LOOKS, "Hal"),
    Work("Read order.txt, then find the log about what comes first there, and tell who has the report.", LOOKS, "Ida"),
    Work("Sum the cost of the city Oslo in trips.csv, then divide it by 5.", SUMS, "140"),
    Work("Find the hours of Finn and of Eva in staff.csv, and tell their sum.", SUMS, "71"),
    Work("Find the most expensive trip in trips.csv, and tell its city.", SUMS, "Bern"),
    Work("Find the team with the largest sum of hours in staff.csv, and tell that sum multiplied by 3.", SUMS, "174"),
    Work("Read trips.csv, find the longest trip, and tell its cost with 15 percent taken off.", SUMS, "527"),
)


async def done(work: Work, model: LocalModel, tools: Registry) -> tuple[str, int]:
    """What the loop comes to, and the calls that it has made."""
    journal = InMemoryJournal(model)
    step = Step(id=1, tool="delegate", arguments={"task": work.task, "tools": list(work.tools)})
    calls = ToolCalls(tools, journal, journal, Policy())
    try:
        said = str(await delegated(step, step.arguments, Tried(), calls, Bounds(8)))
    except ForethoughtError as error:
        said = f"failed: {error}"
    return said, sum(key.endswith("/call") for key in journal.answers)


async def measured(most: int, works: Sequence[Work], files: Mapping[str, str]) -> None:
    settings = Settings.read()
    model = LocalModel(name=MODEL, file=model_file(settings.home, catalogue()[MODEL]), timeout=900)
    right = calls = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).parent.mkdir(exist_ok=True)
            (Path(folder) / name).write_text(text, encoding="utf-8")
        tools = builtin(Folders([Path(folder)]))
        for number, work in enumerate(works[:most], 1):
            begun = time.monotonic()
            said, made = await done(work, model, tools)
            is_right = work.holds in said and not said.startswith("failed: ")
            right, calls = right + is_right, calls + made
            verdict = "right" if is_right else "wrong"
            print(f"{number}. {verdict}, {made} calls, {time.monotonic() - begun:.0f} s: {said[:160]!r}", flush=True)
    await model.aclose()
    print(f"{right} of {min(most, len(works))} right, {calls} calls")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=len(WORK), help="so many of the tasks")
    parser.add_argument("--second", action="store_true", help="the second ten")
    options = parser.parse_args()
    chosen = (MORE_WORK, MORE_FILES) if options.second else (WORK, FILES)
    anyio.run(measured, options.most, *chosen)
