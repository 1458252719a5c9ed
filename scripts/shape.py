"""The shape of the code: how long files and functions are, and which comments excuse a line without a reason.

Prints a table and what is over the limits; ends with 1 if anything is. A nested function counts for itself and for
the one around it; docstrings count.
"""

import ast
import re
import statistics
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PARTS = ("server", "patterns", "tools", "tests", "benchmarks", "scripts")
FILE, MEDIAN, FUNCTION, P90 = 400, 150, 80, 20
EXCUSE = re.compile(r"#\s*(noqa|fmt:\s*(skip|off))\b")
WITH_REASON = re.compile(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)* - \w|# fmt: (skip|off) # \w")


@dataclass(frozen=True)
class Piece:
    """A file, or a function in one."""

    name: str
    lines: int


@dataclass(frozen=True)
class Part:
    """The files and functions of a folder, and the comments that excuse a line without saying why."""

    files: Sequence[Piece]
    functions: Sequence[Piece]
    excuses: Sequence[str]

    @property
    def largest(self) -> int:
        return max(file.lines for file in self.files)

    @property
    def median(self) -> float:
        return statistics.median(file.lines for file in self.files)

    @property
    def longest(self) -> int:
        return max(function.lines for function in self.functions)

    @property
    def p90(self) -> int:
        """Nine of ten functions have at most so many lines."""
        lines = sorted(function.lines for function in self.functions)
        return lines[-(-9 * len(lines) // 10) - 1]


def functions(name: str, text: str) -> Iterator[Piece]:
    """Every function of a file, without its decorators."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Piece(f"{name}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)


def excuses(name: str, text: str) -> Iterator[str]:
    """Every comment that excuses its line, and gives no reason."""
    for token in tokenize.generate_tokens(iter(text.splitlines(keepends=True)).__next__):
        if token.type == tokenize.COMMENT and EXCUSE.search(token.string) and not WITH_REASON.search(token.string):
            yield f"{name}:{token.start[0]} {token.string} gives no reason"


def measured(root: Path, *folders: str) -> Part:
    """What is in these folders."""
    texts = {
        str(file.relative_to(root)): file.read_text(encoding="utf-8")
        for folder in folders
        for file in sorted((root / folder).rglob("*.py"))
    }
    return Part(
        [Piece(name, len(text.splitlines())) for name, text in texts.items()],
        [function for name, text in texts.items() for function in functions(name, text)],
        [excuse for name, text in texts.items() for excuse in excuses(name, text)],
    )


def over(part: Part) -> list[str]:
    """What is over the limits."""
    found = [f"{each.name}: {each.lines} lines, at most {FILE}" for each in part.files if each.lines > FILE]
    found += [
        f"{each.name}: {each.lines} lines, at most {FUNCTION}" for each in part.functions if each.lines > FUNCTION
    ]
    found += [f"the median file has {part.median:g} lines, at most {MEDIAN}"] if part.median > MEDIAN else []
    found += [f"the 90th percentile of functions is {part.p90} lines, at most {P90}"] if part.p90 > P90 else []
    return found + list(part.excuses)


def main() -> int:
    """Print the table and what is over the limits."""
    root = Path(__file__).parent.parent
    print(f"{'':12}{'files':>7}{'largest':>9}{'median':>8}{'functions':>11}{'p90':>5}{'longest':>9}")
    for name, folders in [*((part, [part]) for part in PARTS), ("all", PARTS)]:
        part = measured(root, *folders)
        print(
            f"{name:12}{len(part.files):7}{part.largest:9}{part.median:8g}"
            f"{len(part.functions):11}{part.p90:5}{part.longest:9}"
        )
    found = over(measured(root, *PARTS))
    print(*found, sep="\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
