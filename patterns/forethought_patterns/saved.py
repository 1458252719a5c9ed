"""What a plan saves or tells, before it does: contents that do not fit the file's ending, or that pretend data."""

__all__ = ["saved"]

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from forethought_patterns.plan import Step
from forethought_patterns.references import Reference, find, in_turns, tokens, unknown, whole
from forethought_patterns.sight import BESIDE, Sight, ending
from forethought_patterns.wishes import works_out
from forethought_tools import JSON, Fault
from forethought_tools.text import as_text, clipped

_LOOKED_AT = 50_000  # characters of a content
_BINARY = frozenset(
    {".xlsx", ".xls", ".ods", ".pdf", ".docx", ".doc", ".odt", ".pptx", ".png", ".jpg", ".jpeg", ".gif", ".webp"}
    | {".zip", ".gz", ".tar", ".7z", ".parquet", ".sqlite", ".sqlite3", ".db", ".mp3", ".mp4"}
)
_FLAT = frozenset({".csv", ".tsv"})
_OTHER_FORMS = frozenset({".json", ".jsonl", ".xml", ".html", ".yaml", ".yml", ".md"})
_CODE = frozenset(
    {
        ".py",
        ".pyi",
        ".js",
        ".jsx",
        ".ts",
        ".tsx",
        ".sh",
        ".java",
        ".go",
        ".rs",
        ".c",
        ".h",
        ".cpp",
        ".rb",
        ".php",
        ".sql",
    }
    | {".css", ".yml", ".yaml", ".toml", ".ini", ".cfg", ".conf", ".env"}
)
_DOTS = re.compile(r"^[ \t]*(?:\.\.\.|…)[ \t]*$", re.MULTILINE)
_PRETENDED = re.compile(
    r"\[(?:insert|your|add|fill|enter|put|name of|todo|tbd)\b[^\]\n]{0,80}\](?!\()|<(?:insert|your)\b[^>\n]{0,80}>"
    r"|\b(?:TODO|TBD|FIXME)\b|\blorem ipsum\b|\bexample\.com\b|\bpath/to/",
    re.IGNORECASE,
)


def saved(step: Step, sight: Sight) -> Iterator[Fault]:
    """What does not fit in what a step saves, sends or tells."""
    if not sight.brings(step) or step.tool in ("run_command", "delegate"):
        return
    where = f"step {step.id}"
    is_table = step.tool == "write_table" or (step.tool == "write_file" and ending(step) in _FLAT)
    source = whole(step.arguments.get("rows", step.arguments.get("content"))) if is_table else None
    if source and not source.path and sight.plan.by_id[source.step].tool == "compare":
        mend = "Compare in SQL: SELECT a.key, a.x AS old, b.x AS new FROM 'old' AS a JOIN 'new' AS b ON b.key = a.key"
        yield Fault(where, f"{source} is what compare brings (added, removed, changed), and no table of rows", mend)
    if step.tool == "write_file" and (problem := _unfit(step, sight)):
        yield Fault(where, *problem)
    yield from (Fault(where, *problem) for problem in _pretended(step, sight))


def _unfit(step: Step, sight: Sight) -> tuple[str, str] | None:
    """Why what is written does not fit the ending of its file, and how to mend it."""
    kind, content = ending(step), step.arguments.get("content")
    if kind in _BINARY:
        table = kind == ".xlsx" and "write_table" in sight.tools
        return f"write_file writes text, and a {kind} file is none", _by_table(content) if table else "Write a .md file"
    if "content" in unknown(step.arguments):
        return None
    reference = whole(content)
    if reference is not None and (problem := _unfit_result(kind, reference, sight)):
        return problem, _by_table(content) if "write_table" in sight.tools else "Save it as text that fits, or as .md"
    if kind in _FLAT and not isinstance(content, str):
        return f"what is written is JSON, and not what a {kind} file holds", _by_table(content)
    if kind in _FLAT and any(sight.is_table(each) for each in find(content)) and reference is None:
        return f"rows inside a text are no rows of a {kind} file", _by_table(content)
    if kind == ".json" and isinstance(content, str) and reference is None and not _is_json(content):
        return "what is written is no JSON", "Write valid JSON, or another ending"
    return None


def _unfit_result(kind: str, reference: Reference, sight: Sight) -> str:
    source = sight.plan.by_id[reference.step]
    if kind in _FLAT and sight.is_table(reference):
        return f"{reference} are rows, which write_file writes as JSON, and not as a {kind} file holds them"
    if kind == ".json" and sight.is_table(reference) and not reference.path:
        return f"{reference} is the answer of {source.tool}, of which only the rows are wanted"
    if source.tool == "read_file" and kind in _FLAT and ending(source) in _OTHER_FORMS:
        return f"{reference} is the text of a {ending(source)} file, and no {kind}"
    if source.tool == "read_file" and kind == ".json" and ending(source) in _FLAT | {".xml", ".html", ".md"}:
        return f"{reference} is the text of a {ending(source)} file, and no JSON"
    by_model = sight.asks(source) and sight.comes_of_rows(source) and works_out(sight.goal)
    if by_model and kind in BESIDE and "write_table" in sight.tools:
        return f"{reference} is a text that a model words, where the rows themselves are wanted"
    return ""


def _by_table(content: JSON) -> str:
    references = sorted(find(content), key=str)
    rows = references[0] if references else "the rows"
    return f"Save {rows} with write_table"


def _is_json(content: str) -> bool:
    try:
        json.loads(tokens(content, lambda _: "0"))
    except (ValueError, RecursionError):
        return False
    return True


def _pretended(step: Step, sight: Sight) -> Iterator[tuple[str, str]]:
    """What was made up in the place of what only a result, or a person, can tell."""
    goal = sight.goal.brief.goal.lower()
    content = "\n".join(_texts([value for name, value in step.arguments.items() if name not in ("path", "old")]))
    literal = tokens(content[:_LOOKED_AT], lambda _: "")
    shown = as_text(step.arguments.get("path", "")) + ("" if ending(step) in _CODE else f"\n{literal}")
    places = [found[0].strip() for form in (_PRETENDED, _DOTS) for found in form.finditer(shown)]
    for place in [each for each in places if each.lower() not in goal][:1]:
        yield f"{clipped(place, 60)!r} stands for something that nothing fills in", "Give what is meant, by a reference"
    if not places and _is_made_up(step, literal, sight):
        read = ", ".join(f"{{{{{each.id}}}}}" for each in sight.plan.steps if sight.reads(each))
        yield (
            "what it says was made up before anything was read",
            f"Use what the steps before it found: {clipped(read, 80)}",
        )


def _is_made_up(step: Step, literal: str, sight: Sight) -> bool:
    """Whether a text that the goal does not say is written, though something was read, and nothing of it is saved."""
    if step.tool not in ("write_file", "write_table", "append_file", "tell") or not literal.strip():
        return False
    before = sight.plan.steps[: sight.plan.steps.index(step)]
    if not any(each.id not in sight.used for each in before if sight.reads(each)):
        return False
    if any(
        find(each.arguments) or in_turns(each.arguments) or "{{?}}" in as_text(each.arguments)[:_LOOKED_AT]
        for each in sight.bringing
    ):
        return False
    words = re.findall(r"\w+", literal.lower())
    known = set(re.findall(r"\w+", f"{sight.goal.brief.goal} {sight.goal.brief.context}".lower()))
    return not set(words) <= known


def _texts(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Sequence):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
