"""Text as a person can trust it: what cannot be seen, moves the cursor or reorders text is spelled out.

`visible` is for text of others on its way into a line of ours, once: it can be read back, so nothing that was typed
passes for something spelled out. `harmless` is the last thing before a terminal; it may be applied to anything, and
again. `visible_json` stays JSON, and says the same to whoever parses it.
"""

__all__ = ["cut", "harmless", "has_lines", "one_line_json", "told", "visible", "visible_json"]

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import cast

import regex  # type: ignore[import-untyped]  # it has no types

from forethought_tools.tool import JSON

_FOLDED = 32  # blanks in a row that are shown as blanks: deeper indentation is rare
_REPEATED = 3  # the same unseen character, or empty lines, in a row that are shown one by one
_BAR = "  | "
"""Stands before each line of a text of several lines. No line of ours begins like that."""

# Unicode's own word for what is not seen, and what it forgot: letters and symbols whose glyph is blank. A mark without
# a letter would be drawn over what stands before it, which is ours.
_UNSEEN = (
    r"[\p{C}\p{Zl}\p{Zp}[\p{Zs}--\x20]\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{Variation_Selector}"
    r"\u2800\U00013441\U00013442\U00016fe4\U0001d159]"
)
_MARK = r"(?<![\p{L}\p{M}\p{N}\p{P}\p{S}])\p{M}"
_unseen = regex.compile(_UNSEEN, regex.V1)
_in_json = regex.compile(rf"(?!\n){_UNSEEN}", regex.V1)
_on_screen = regex.compile(rf"(?![\n\t]){_UNSEEN}", regex.V1)
_plain = regex.compile(r"[\w-]+", regex.ASCII)
_blanks = regex.compile(rf"\x20{{{_FOLDED + 1},}}")
_RUN = rf"(?P<one>{_UNSEEN}|{_MARK})(?P=one)*+|(?<!\x20)(?:^\x20++|\x20++$|\x20{{{_FOLDED + 1},}}+)"
# What looks like our own spelling, or would run into it, is told apart: one more backslash, or a spelled brace.
_TYPED = rf"(?<!\\)\\++(?=[uU]|{_RUN.replace('one', 'two')})|(?<={_UNSEEN}|{_MARK}|^\x20+|\x20{{{_FOLDED + 1}}})\{{++"
_spelled = regex.compile(rf"{_RUN}|{_TYPED}", regex.V1)


def visible(text: str) -> str:
    """The text on one line, with everything spelled out that cannot be seen as it is: `\\u202e`, `\\u200b{40}`.

    Line breaks too, and blanks at both ends or more than 32 in a row. A backslash that was typed before a `u` is
    doubled, so that what was typed never reads like what was spelled out.
    """
    return str(_spelled.sub(_spell, text))


def harmless(text: str) -> str:
    """The text with everything spelled out that a terminal would obey or not show, save line breaks and tabs."""
    return str(_on_screen.sub(lambda match: _code(match[0]), text))


def visible_json(value: JSON, *, indent: int | None = None) -> str:
    """A value as JSON, in which what cannot be seen is written as JSON's own escapes."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return str(_in_json.sub(lambda match: _escape(match[0]), text))


def told(name: str, value: JSON, *, most: int | None = None) -> list[str]:
    """A named value as lines: `name: value`, or a block whose lines begin with a bar. At most about `most` characters
    of it are shown, from both ends."""
    if not isinstance(value, str):
        return _told_parts(name, value, most) if has_lines(value) else [f"{name}: {cut(one_line_json(value), most)}"]
    if "\n" not in value:
        return [f"{name}: {cut(visible(value), most)}"]
    lines = value.split("\n")
    shown = [_BAR + each for each in _block(lines)]
    about = f"{len(lines)} lines, {len(value)} characters"
    if most is None or sum(map(len, shown)) <= most:
        return [f"{name}: ({about})", *shown]
    return [f"{name}: ({about}, SHA-256 {_sha(value)})", *_ends(shown, most)]


def has_lines(value: JSON) -> bool:
    """Whether a text of several lines is in a value, at any depth."""
    if isinstance(value, str):
        return "\n" in value
    if isinstance(value, Mapping):
        return any(map(has_lines, value.values()))
    return isinstance(value, Sequence) and any(map(has_lines, value))


def _told_parts(name: str, value: JSON, most: int | None) -> list[str]:
    """A list or an object that holds texts of several lines: each part by its path, as references name it."""
    parts = value.items() if isinstance(value, Mapping) else enumerate(cast("Sequence[JSON]", value))
    lines = [line for part, item in parts for line in told(f"{name}.{_path_part(part)}", item, most=most)]
    if most is None or sum(map(len, lines)) <= most:
        return lines
    return [f"{name}: (SHA-256 {_sha(one_line_json(value))})", *_ends(lines, most)]


def _path_part(part: str | int) -> str:
    """A part of a path; in quotes, where it could be taken for something else."""
    text = str(part)
    return text if _plain.fullmatch(text) else visible_json(text)


def one_line_json(value: JSON) -> str:
    """A value as JSON on one line for a person: as `visible_json`, and many blanks in a row are counted."""
    return str(_blanks.sub(_spell, visible_json(value)))


def cut(text: str, most: int | None) -> str:
    """At most about `most` characters of a text, from both ends."""
    if most is None or len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} [... {len(text)} characters in all, SHA-256 {_sha(text)} ...] {text[-half:]}"


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _block(lines: Sequence[str]) -> Iterator[str]:
    for line, same in groupby(lines):
        count = sum(1 for _ in same)
        if line.strip(" ") or count <= _REPEATED:
            yield from [_indented(line)] * count
        else:
            yield f"{_indented(line)}\\u000a{{{count}}}"


def _indented(line: str) -> str:
    text = line.lstrip(" ")
    indent = line[: len(line) - len(text)]
    return indent + visible(text) if text and len(indent) <= _FOLDED else visible(line)


def _ends(lines: Sequence[str], most: int) -> list[str]:
    """The first and the last lines, about `most` characters of them."""
    first, last = _up_to(lines, most // 2), _up_to(lines[::-1], most // 2)[::-1]
    left = len(lines) - len(first) - len(last)
    return [*first, *([f"  ... {left} lines are not shown here ..."] if left > 0 else []), *last]


def _up_to(lines: Sequence[str], most: int) -> list[str]:
    taken: list[str] = []
    for line in lines:
        taken.append(cut(line, max(most, 40)))
        most -= len(line)
        if most <= 0:
            break
    return taken


def _spell(match: "regex.Match[str]") -> str:
    run = str(match[0])
    if run[0] == "\\":
        return run * 2
    code = _code(run[0])
    return code * len(run) if len(run) <= _REPEATED else f"{code}{{{len(run)}}}"


def _code(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
