"""The embedded model with other settings: from the start of its process to a valid plan of four or five steps.

Variants are interleaved, so that whatever else the machine does falls on all of them. The model must be fetched.
"""

import argparse
import importlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from forethought.briefing import look_at
from forethought.models import child
from forethought.models.fetch import catalogue, model_file
from forethought.models.local import LocalModel
from forethought.recipes import nearest
from forethought.settings import Settings
from forethought_patterns import InMemoryJournal, Slot, make_plan
from forethought_patterns.ports import Answer, Heard, Meter
from forethought_tools import PlanError, Question
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

MODEL = "qwen2.5-coder-1.5b"
GOAL = (
    "Compute the hours of each project in timesheet.csv and write the table to hours.md. Then write a short note on the"
    " project that took most, and save it in note.md."
)
CSV = "project,person,hours\nharbour,Ada,7\nmill,Ben,4\nharbour,Cyn,3\n"
CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


@dataclass(frozen=True)
class Variant:
    """What differs from our settings."""

    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """By dotted names of the parameters of llama.cpp."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    keeps: bool = True
    """Whether an earlier process has left what it made of the prompt's beginning."""


VARIANTS: Mapping[str, Variant] = {
    "settings of 918697e": Variant({"cpuparams.n_threads": max(1, CORES - 1)}, keeps=False),
    "ours, the very first plan": Variant(keeps=False),
    "**ours**": Variant(),
    "a thread less for writing": Variant({"cpuparams.n_threads": max(1, CORES - 1)}),
    "spins 100 rounds": Variant(environment={"GOMP_SPINCOUNT": "100"}),
    "spins 10,000 rounds": Variant(environment={"GOMP_SPINCOUNT": "10000"}),
    "keys and values in 8 bits": Variant({"cache_type_k": "Q8_0", "cache_type_v": "Q8_0"}),
    "no flash attention": Variant({"flash_attn_type": "DISABLED"}),
    "batches of 128": Variant({"n_ubatch": 128}),
    "looks words up in the prompt": Variant({"speculative": "NGRAM_SIMPLE"}),
}


class Tuned(LocalModel):
    """The embedded model in one variant, with a clock."""

    def __init__(self, variant: Variant, **options: Any) -> None:
        super().__init__(**options)
        self._variant = variant
        self.times: dict[str, float] = {}

    def _command(self) -> list[str]:
        python, *_, module = super()._command()[:4]
        assert module == child.__name__, "the command of the child has changed"
        return [python, __file__, "--serve", json.dumps(dict(self._variant.params)), *super()._command()[4:]]

    async def _start(self) -> Any:
        began = time.perf_counter()
        started = await super()._start()
        self.times["start"] = time.perf_counter() - began
        return started

    async def answer(self, question: Question, *, meter: Meter | None = None, heard: Heard | None = None) -> Answer:
        del meter, heard
        began, pieces = time.perf_counter(), list[float]()
        answer = await super().answer(question, heard=lambda _: pieces.append(time.perf_counter()))
        if len(pieces) > 2:
            self.times.setdefault("first word", pieces[1] - began)
            self.times.setdefault("tokens/s", answer.usage.output_tokens / (pieces[-1] - pieces[1]))
        return answer


async def measure(variant: Variant, file: Path, kept: Path) -> dict[str, float]:
    """What one process takes for one plan."""
    (kept.parent / "timesheet.csv").write_text(CSV, encoding="utf-8")
    folders = Folders([kept.parent])
    os.environ.update(variant.environment)
    model = Tuned(variant, name=MODEL, file=file, kept=kept if variant.keeps else None, timeout=900)
    began = time.perf_counter()
    try:
        seen = await anyio.to_thread.run_sync(look_at, GOAL, folders)
        brief = replace(seen, recipes=nearest(GOAL, seen.files, 6))
        plan = await make_plan(brief, builtin(folders), InMemoryJournal(model), slot=Slot())
        steps = len(plan.steps)
    except PlanError:
        steps = 0
    finally:
        await model.aclose()
        for name in variant.environment:
            del os.environ[name]
    return {**model.times, "plan": time.perf_counter() - began, "steps": steps}


def compare(rounds: int, only: str, home: Path) -> None:
    """Print a row for each variant: medians, and the plan over that of the first row."""
    rows: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    file = model_file(home, catalogue()[MODEL])
    variants = {name: variant for name, variant in VARIANTS.items() if only in name}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, variant in variants.items():
                kept = Path(folder) / "prompts"
                if variant.keeps and not kept.exists():
                    anyio.run(measure, VARIANTS["**ours**"], file, kept)  # the first process, which leaves it
                rows[name].append(anyio.run(measure, variant, file, kept))
    print("| settings | start, s | first word, s | tokens/s written | plan, s | over the first row | steps |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    first = next(iter(rows.values()))
    for name, measured in rows.items():
        median = {key: statistics.median(each.get(key, 0) for each in measured) for key in measured[0]}
        ratio = statistics.median(each["plan"] / base["plan"] for each, base in zip(measured, first, strict=True))
        shown = [f"{median.get(key, 0):.1f}" for key in ("start", "first word", "tokens/s", "plan")]
        print(f"| {name} | {' | '.join(shown)} | {ratio:.2f} | {median['steps']:.0f} |", flush=True)


def tune(params: Any, changes: Mapping[str, Any]) -> None:
    """Set what a variant changes, by the names that llama.cpp has for it."""
    xllamacpp: Any = importlib.import_module("xllamacpp")  # an optional extra, without type stubs

    enums = {
        "cache_type_k": ("ggml_type", "GGML_TYPE"),
        "cache_type_v": ("ggml_type", "GGML_TYPE"),
        "flash_attn_type": ("llama_flash_attn_type", "LLAMA_FLASH_ATTN_TYPE"),
    }
    for name, value in changes.items():
        if name == "speculative":
            kind = getattr(xllamacpp.common_speculative_type, f"COMMON_SPECULATIVE_TYPE_{value}")
            params.speculative.types = [kind]
            params.speculative.ngram_simple.size_n, params.speculative.ngram_simple.size_m = 4, 6
            continue
        *path, last = name.split(".")
        target = params
        for part in path:
            target = getattr(target, part)
        enum = enums.get(name)
        setattr(target, last, getattr(getattr(xllamacpp, enum[0]), f"{enum[1]}_{value}") if enum else value)


def main() -> None:
    """Print the table, or serve the model as one row of it wants."""
    if sys.argv[1:2] == ["--serve"]:
        changes = json.loads(sys.argv[2])
        del sys.argv[1:3]
        child.main(lambda params: tune(params, changes))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--home", type=Path, default=Settings.read(folders=[]).home, help="where the model is")
    options = parser.parse_args()
    compare(options.rounds, options.only, options.home)


if __name__ == "__main__":
    main()
