"""From exec to the first answers over stdio, against an empty server of the same SDK, rounds interleaved."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from stdio import EMPTY, FORETHOUGHT

ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HANDSHAKE: Sequence[Mapping[str, Any]] = [
    {
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "benchmark", "version": "0"},
        },
    },
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/list"},
]
MODERN: Sequence[Mapping[str, Any]] = [
    {"id": 1, "method": "server/discover", "params": {"_meta": ENVELOPE}},
    {"id": 2, "method": "tools/list", "params": {"_meta": ENVELOPE}},
]


def measure(program: str, home: str, messages: Sequence[Mapping[str, Any]]) -> tuple[float, float, float]:
    """Seconds from exec to the first answer and to the list of tools, and seconds of CPU until then."""
    env = {"FORETHOUGHT_HOME": home, "FORETHOUGHT_MODEL": "host", "PATH": os.environ["PATH"]}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=home, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        answered: list[float] = []
        for message in messages:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
            server.stdin.flush()
            if "id" in message:
                assert "result" in json.loads(server.stdout.readline())
                answered.append(time.perf_counter() - started)
        server.kill()  # else the rest would be loaded in order to be closed
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    first, listed = answered
    return first, listed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(rounds: int) -> None:
    for name, messages in (("2025-11-25", HANDSHAKE), ("2026-07-28", MODERN)):
        ours: list[tuple[float, float, float]] = []
        empty: list[tuple[float, float, float]] = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as home:
                ours.append(measure(FORETHOUGHT, home, messages))
                empty.append(measure(EMPTY, home, messages))
        for place, what in enumerate(("first answer, s", "list of tools, s", "CPU until then, s")):
            mine, bare = ([each[place] for each in found] for found in (ours, empty))
            ratio = statistics.median(a / b for a, b in zip(mine, bare, strict=True))
            print(f"{name}: {what:<18} forethought {statistics.median(mine):.2f}", end="")
            print(f"   empty {statistics.median(bare):.2f}   ratio: median {ratio:.2f} (goal: at most 1.1)")


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=11)
    compare(options.parse_args().rounds)


if __name__ == "__main__":
    main()
