"""A valid plan as lints look at it: which results are used, by whom, and what they are."""

__all__ = ["BESIDE", "Sight", "ending"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from glob import escape
from pathlib import PurePosixPath

from forethought_patterns.goal import Goal
from forethought_patterns.plan import Plan, Step
from forethought_patterns.references import Reference, find, in_turns, tokens, unknown
from forethought_tools import Registry
from forethought_tools.text import as_text

BESIDE = frozenset({".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"})
"""The endings of files of rows that are also files of text, or come with them."""
_WORDS = re.compile(r"[\s'\"(),;]+")
_LETTER = re.compile(r"\w")
_STARS = 6  # in a pattern
_PATTERNS = 10  # of one call
_SHOWN = 4_000  # characters of a call's arguments in which names are looked for
_ROWS: Mapping[str, str] = {"query_table": "rows", "list_files": "files", "search_files": "matches"}
"""The tools whose results hold rows, and where."""


@dataclass(frozen=True)
class Sight:
    """A plan, the goal that it is for, and the tools that it calls."""

    plan: Plan
    goal: Goal
    tools: Registry

    @cached_property
    def texts(self) -> Mapping[int, str]:
        """The arguments of each step, as text."""
        return {step.id: as_text(step.arguments)[:_SHOWN] for step in self.plan.steps}

    def names(self, step: Step, file: str) -> bool:
        """Whether a call names a file, by itself or by a pattern. A model that is asked sees no file by its name."""
        return not self.asks(step) and (
            file in self.texts[step.id] or any(fnmatchcase(file, each) for each in self._patterns[step.id])
        )

    @cached_property
    def _patterns(self) -> Mapping[int, Sequence[str]]:
        """The patterns of file names in each call; what is no such pattern in truth fits no file."""
        found: dict[int, list[str]] = {}
        for number, text in self.texts.items():
            words = {
                word
                for word in _WORDS.split(text)
                if "*" in word and word.count("*") <= _STARS and _LETTER.search(word)
            }
            found[number] = [form for word in sorted(words)[:_PATTERNS] for form in (word, word.replace("**/", ""))]
        return found

    def makes(self, step: Step, file: str) -> bool:
        """Whether a call names a file, or a loop files of which it may be one: `letter_{{item.nr}}.txt`."""
        path = step.arguments.get("path", step.arguments.get("destination"))
        if not step.is_loop or not isinstance(path, str) or not in_turns(path):
            return self.names(step, file)
        parts = tokens(path, lambda _: "\0").split("\0")
        return fnmatchcase(file, "?*".join(map(escape, parts)))

    def uses(self, step: Step, file: str) -> bool:
        """Whether a call names a file: by itself, by a pattern, or as a table in SQL."""
        stem = re.sub(r"\W", "_", PurePosixPath(file).stem)
        return self.names(step, file) or ("sql" in step.arguments and _is_word(stem, self.texts[step.id]))

    @cached_property
    def used(self) -> frozenset[int]:
        """The steps whose results others use. What an open argument may bring in counts."""
        steps = self.plan.steps
        referred = {each.step for step in steps for each in find(step.wire())}
        return frozenset(referred.union(*(step.depends_on for step in steps if unknown(step.arguments))))

    @cached_property
    def changing(self) -> Sequence[Step]:
        """The steps that change something."""
        return [step for step in self.plan.steps if not self.tools.reads_only(step.tool)]

    @cached_property
    def bringing(self) -> Sequence[Step]:
        """The steps by which results leave the plan: those that change something, and those that tell it."""
        return [step for step in self.plan.steps if self.brings(step)]

    @cached_property
    def answered(self) -> bool:
        """Whether results that no step uses are the answer: nothing else is brought, or somebody is to be told."""
        tells = any(step.tool == "tell" for step in self.plan.steps)
        return not tells and (self.goal.told or not self.changing)

    @cached_property
    def written(self) -> frozenset[str]:
        """The files that steps write."""
        return frozenset(name for step in self.changing for name in self.written_by(step))

    def written_by(self, step: Step) -> set[str]:
        """The files that a step writes, as far as the plan names them."""
        places = [step.arguments.get(name) for name in ("path", "destination")]
        return {place for place in places if isinstance(place, str) and not find(place)}

    @cached_property
    def idle(self) -> Sequence[Step]:
        """The reading steps whose results no step uses. Those that look at what was written, or read once more what
        another reads by itself, are too much at most."""
        reading = [step for step in self.plan.steps if step.id in self.used and self.reads(step)]
        read = " ".join(self.texts[step.id] for step in reading if not self.asks(step))
        found: list[Step] = []
        written: set[str] = set()
        for step in self.plan.steps:
            if not self.reads(step):
                written |= self.written_by(step)
            elif not (
                step.id in self.used
                or any(name in self.texts[step.id] for name in written)
                or str(step.arguments.get("path") or "\0") in read
            ):
                found.append(step)
        return found

    def reads(self, step: Step) -> bool:
        """Whether it is there for its result alone."""
        return self.tools.reads_only(step.tool) and step.tool not in ("tell", "wait")

    def brings(self, step: Step) -> bool:
        """Whether it changes something, or tells the person something."""
        return step.tool == "tell" or not self.tools.reads_only(step.tool)

    def asks(self, step: Step) -> bool:
        """Whether it puts a question to a model."""
        tool = self.tools.get(step.tool)
        return tool is not None and tool.asks

    def is_raw(self, reference: Reference) -> bool:
        """Whether it stands for a file as it was read."""
        source = self.plan.by_id[reference.step]
        sql = str(source.arguments.get("sql", ""))[:_SHOWN].lower().rstrip("; \n").split()
        every_row = source.tool == "query_table" and sql[:3] == ["select", "*", "from"] and len(sql) == 4
        return (source.tool == "read_file" and not reference.path) or (every_row and self.is_table(reference))

    def is_table(self, reference: Reference) -> bool:
        """Whether it stands for rows: a whole result that holds them, or just these."""
        rows = _ROWS.get(self.plan.by_id[reference.step].tool)
        return rows is not None and reference.path in ((), (rows,))

    def comes_of_rows(self, step: Step) -> bool:
        """Whether rows have gone into its result, by whatever way."""
        seen: set[int] = set()
        left = [each.step for each in find(step.arguments)]
        while left:
            source = self.plan.by_id[left.pop()]
            if source.id in seen:
                continue
            seen.add(source.id)
            if source.tool in _ROWS or ending(source) in BESIDE:
                return True
            left += [each.step for each in find(source.arguments)]
        return False


def _is_word(word: str, text: str) -> bool:
    return bool(word) and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def ending(step: Step) -> str:
    """The ending of the file that a call names, in lower case; nothing where only the run can tell."""
    path = step.arguments.get("path")
    return PurePosixPath(path).suffix.lower() if isinstance(path, str) and not find(path) else ""
