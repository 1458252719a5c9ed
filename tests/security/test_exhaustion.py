"""What a caller or a file makes us do takes no more memory or time than it may, and is gone with its run."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from forethought_tools import JSON, Question, Registry, ToolError
from forethought_tools.folders import Folders
from forethought_tools.tables import table_tools

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]

# Each takes gigabytes, or no end of time, where DuckDB keeps neither its memory limit nor hears of an interrupt.
GREEDY = (
    "SELECT repeat('x', 4000000000)",
    "SELECT length(repeat('x', 2000000000) || repeat('y', 2000000000))",
    "SELECT string_agg(repeat('x', 100000), '') FROM range(100000)",
    "SELECT range(1000000000)",
)
ENDLESS = (
    "SELECT sum(length(regexp_replace(repeat('a', 1000000), 'a', 'bb', 'g'))) FROM range(1000000) t(i) WHERE i >= 0"
)
QUERY = """
import resource, sys
import anyio
from pathlib import Path
from forethought_tools import Registry, ToolError
from forethought_tools.folders import Folders
from forethought_tools.tables import table_tools

async def main(folder, *queries):
    tools = Registry(table_tools(Folders([Path(folder)])))
    for sql in queries:
        try:
            print(await tools.call("query_table", {"sql": sql, "paths": ["sales.csv"]}, None))
        except ToolError as error:
            print(error)
    # Not ru_maxrss of this process: it begins with what the test's own process had when it started this one.
    own = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, own)

anyio.run(main, *sys.argv[1:])
"""


CAPTURING = "(" * 30 + "a" + ")" * 30 + "*[bc]"
SEARCH = """
import sys
import anyio
from pathlib import Path
from forethought_tools import Registry, ToolError
from forethought_tools.files import file_tools
from forethought_tools.folders import Folders

async def main(folder, pattern):
    tools, arguments = Registry(file_tools(Folders([Path(folder)]))), {"text": pattern, "regex": True}
    try:
        print(await tools.call("search_files", arguments, None))
    except ToolError as error:
        print(error)
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))

anyio.run(main, *sys.argv[1:])
"""


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    (tmp_path / "sales.csv").write_text("id\n1\n", encoding="utf-8")
    return tmp_path


def queries_of(parent: int) -> list[int]:
    """The processes of queries that this process has started and that live."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, above = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
            if int(above) == parent and state not in "ZX" and b"tables_child" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:  # it has just ended
            continue
    return found


def lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def environment_of(process: int) -> bytes:
    return Path(f"/proc/{process}/environ").read_bytes()


async def query_process(parent: int) -> int:
    with anyio.fail_after(60):
        while not (found := queries_of(parent)):
            await anyio.lowlevel.checkpoint()
    return found[0]


async def nobody(question: Question) -> JSON:
    raise AssertionError(question)


async def query(folder: Path, sql: str) -> None:
    await Registry(table_tools(Folders([folder]))).call("query_table", {"sql": sql, "paths": ["sales.csv"]}, nobody)


async def test_no_query_takes_more_memory_than_it_may(sales: Path) -> None:
    command = [sys.executable, "-c", QUERY, str(sales), *GREEDY]
    with anyio.fail_after(300):
        said = (await anyio.run_process(command)).stdout.decode()
    *answers, peaks = said.splitlines()
    kilobytes = [int(peak) for peak in peaks.split()]
    assert kilobytes[0] < 1_400_000, "the query's own process"
    assert kilobytes[1] < 400_000, "the server"
    refused = [line for line in answers if "memory" in line.lower()]
    assert len(refused) == len(GREEDY), said


async def test_no_pattern_to_search_files_by_takes_memory_of_the_server(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a" * 2_000_000, encoding="utf-8")
    with anyio.fail_after(300):
        said = (await anyio.run_process([sys.executable, "-c", SEARCH, str(tmp_path), CAPTURING])).stdout.decode()
    answer, peak = said.splitlines()
    assert "Give something simpler" in answer
    assert int(peak) < 300_000


async def test_a_query_ends_with_its_call_wherever_it_is(sales: Path) -> None:
    process = 0
    async with anyio.create_task_group() as group:
        group.start_soon(query, sales, ENDLESS)
        process = await query_process(os.getpid())
        group.cancel_scope.cancel()
    assert not lives(process)


async def test_a_query_that_is_killed_fails_its_step_and_nothing_else(sales: Path) -> None:
    async with anyio.create_task_group() as group:

        async def refused() -> None:
            with pytest.raises(ToolError, match="more memory or time"):
                await query(sales, ENDLESS)

        group.start_soon(refused)
        os.kill(await query_process(os.getpid()), 9)
    await query(sales, "SELECT 1")


async def test_a_query_ends_with_its_server_and_knows_none_of_its_keys(sales: Path) -> None:
    environment = {**os.environ, "OPENAI_API_KEY": "sk-not-for-queries", "GITHUB_TOKEN": "not-for-queries"}
    server = await anyio.open_process(
        [sys.executable, "-c", QUERY, str(sales), ENDLESS], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        process = await query_process(server.pid)
        assert b"not-for-queries" not in environment_of(process)
    finally:
        server.kill()
        await server.aclose()
    with anyio.fail_after(60):
        while lives(process):
            await anyio.lowlevel.checkpoint()
