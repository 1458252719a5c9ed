"""The deployment of `examples/cluster`, on this machine: its own commands and balancer, on ports of ours."""

import os
import re
import shlex
import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp import StdioServerParameters
from mcp.client import Client
from tests.server.asking import view
from tests.stores import COMMAND, Cluster, environment

from forethought.settings import Settings

pytestmark = pytest.mark.anyio

Processes = dict[str, subprocess.Popen[bytes]]
EXAMPLE = Path(__file__).parents[2] / "examples" / "cluster"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def deployed(postgres: Cluster, tmp_path: Path, work: Path) -> Generator[tuple[int, Processes]]:
    """Two servers, a worker and the balancer in front: its port, and the processes."""
    missing = [program for program in ("haproxy", "socat") if not shutil.which(program)]
    if missing and os.environ.get("CI"):
        pytest.fail(f"not installed: {', '.join(missing)} (Debian packages of the same names)")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    compose = (EXAMPLE / "compose.yaml").read_text(encoding="utf-8")
    listen, worker = re.findall(r"^    command: (.+)$", compose, re.MULTILINE)
    balancer = (EXAMPLE / "haproxy.cfg").read_text(encoding="utf-8")
    env = {
        **environment(Settings(home=tmp_path / "home", store=postgres.create("deployed"))),
        "PATH": f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}",
        "FORETHOUGHT_FOLDERS": str(work),
        "FORETHOUGHT_MODEL": "host",
    }
    commands = {"worker": shlex.split(worker)}
    for name in ("one", "two"):
        port = free_port()
        commands[name] = shlex.split(listen.replace("7000", f"{port},bind=127.0.0.1"))
        balancer = balancer.replace(f"{name}:7000", f"127.0.0.1:{port}")
    front = free_port()
    config = tmp_path / "haproxy.cfg"
    config.write_text(balancer.replace("bind :7000", f"bind 127.0.0.1:{front}"), encoding="utf-8")
    commands["balancer"] = ["haproxy", "-f", str(config)]
    with ExitStack() as stack:
        processes: Processes = {}
        for name, command in commands.items():
            process = subprocess.Popen(command, env=env, start_new_session=True, stderr=subprocess.DEVNULL)
            stack.callback(kill, process)
            processes[name] = process
        yield front, processes


def kill(process: subprocess.Popen[bytes]) -> None:
    """It, and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.mark.takes(10)
async def test_a_server_behind_the_balancer_is_lost_and_its_client_goes_on_with_the_other(
    deployed: tuple[int, Processes], work: Path
) -> None:
    port, processes = deployed
    through = StdioServerParameters(command="socat", args=["STDIO", f"TCP:127.0.0.1:{port},retry=50,interval=0.1"])
    steps: list[dict[str, Any]] = [
        {"id": n, "tool": "wait", "arguments": {"seconds": 0.5}, "depends_on": [n - 1] if n > 1 else []}
        for n in range(1, 9)
    ]
    steps.append({"id": 9, "tool": "write_file", "arguments": {"path": "b.txt", "content": "done"}, "depends_on": [8]})
    async with Client(through) as client:
        made = view(await client.call_tool("create_plan", {"goal": "g", "steps": steps}))
    connected = lost = 0
    told: list[str] = []

    async def stay() -> None:
        nonlocal connected, lost
        while True:
            try:
                async with Client(through) as client:
                    connected += 1
                    answer = await client.call_tool("execute_plan", {"plan_id": made["plan_id"]})
                    told.append(view(answer)["status"])
                    return
            except BaseExceptionGroup:
                lost += 1  # its server is gone

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stay)
            tasks.start_soon(stay)
            while connected < 2:
                await anyio.lowlevel.checkpoint()
            kill(processes["one"])
    assert lost == 1, "each server had one of them"
    assert told == ["succeeded", "succeeded"]
    assert (work / "b.txt").read_text(encoding="utf-8") == "done"
