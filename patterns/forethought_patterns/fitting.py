"""Whether what is in a file fits the ending of its name. Plain reading of a bounded beginning: nothing is executed."""

__all__ = ["too_long", "unfit"]

import csv
import io
import json
import re
from collections.abc import Callable, Mapping

from forethought_tools import Seen
from forethought_tools.lengths import length_of

_MAGIC = {"xlsx": b"PK\x03\x04", "docx": b"PK\x03\x04", "pdf": b"%PDF-", "parquet": b"PAR1"}
_UNFILLED = re.compile(r"\{\{[^{}\n]{1,80}\}\}")
_PLACEHOLDER = re.compile(r"\[(?:[A-Z][A-Z _-]{2,40}|(?:[Yy]our|[Ii]nsert|[Pp]laceholder)\b[^\]\n]{0,60})\](?!\()")
_TAG = re.compile(r"<[A-Za-z!][^<>]{0,2000}>")


def unfit(path: str, seen: Seen, goal: str, material: str) -> str:
    """What is wrong with a file, in words, or nothing. Where `material` holds the same, it is no placeholder."""
    ending = path.rpartition(".")[2].lower()
    wants_nothing = "empty" in goal.lower()
    if not seen.content.strip():
        return "" if wants_nothing else "is empty"
    if ending in _MAGIC:
        return "" if seen.content.startswith(_MAGIC[ending]) else f"is not a {ending} file inside"
    look = _LOOKS.get(ending)
    if look is None or not seen.is_whole:
        return ""
    text = seen.content.decode("utf-8-sig", "replace")
    return look(text, goal.lower()) or (_left_open(text, material) if ending in _PROSE else "")


def too_long(path: str, seen: Seen, goal: str) -> str:
    """By how much a text is longer than its goal allows, in words, or nothing."""
    length = length_of(goal)
    if length is None or not seen.is_whole or path.rpartition(".")[2].lower() not in _PROSE:
        return ""
    return length.exceeded(seen.content.decode("utf-8-sig", "replace"))


def _table(text: str, goal: str) -> str:
    del goal
    header = text.partition("\n")[0]
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=max(",;\t|", key=header.count)) if row]
    except csv.Error as error:
        return f"cannot be read as a table: {error}"
    odd = next((number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])), 0)
    if odd:
        return f"is no table: row {odd} has {len(rows[odd - 1])} columns, and its header {len(rows[0])}"
    return "holds no row below its header" if len(rows) < 2 else ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json(text: str, goal: str) -> str:
    del goal
    return "" if _is_json(text) else "does not hold JSON"


def _lines_of_json(text: str, goal: str) -> str:
    del goal
    odd = next((n for n, line in enumerate(text.splitlines(), 1) if line.strip() and not _is_json(line)), 0)
    return f"does not hold JSON in line {odd}" if odd else ""


def _prose(text: str, goal: str) -> str:
    is_raw = text.lstrip()[:1] in ("{", "[") and "json" not in goal and _is_json(text)
    return "holds raw JSON and no text" if is_raw else ""


def _page(text: str, goal: str) -> str:
    return _prose(text, goal) or ("" if _TAG.search(text) else "holds no HTML tag")


def _left_open(text: str, material: str) -> str:
    for pattern in (_UNFILLED, _PLACEHOLDER):
        for found in pattern.finditer(text):
            if found[0] not in material:
                return f"still holds {found[0]}, which nobody has filled in"
    return ""


_PROSE = frozenset({"md", "txt", "html", "htm"})
_LOOKS: Mapping[str, Callable[[str, str], str]] = {
    "csv": _table,
    "tsv": _table,
    "json": _json,
    "jsonl": _lines_of_json,
    "ndjson": _lines_of_json,
    "md": _prose,
    "txt": _prose,
    "html": _page,
    "htm": _page,
}
