"""Built in: a form or template with its blanks filled from data, exactly, and with no model in between."""

__all__ = ["template_tool"]

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field, JsonValue, WithJsonSchema

from forethought_tools.errors import ToolError
from forethought_tools.meant import decoded
from forethought_tools.risk import Risk
from forethought_tools.tabular import table_in, text_of
from forethought_tools.tool import JSON, Tool, tool

MAX_TEXT = 200_000  # characters of a template, of values as text, and of what comes of both
_SHOWN = 10  # blanks that nothing is called like
_NAMES = 400  # characters of the names of values
_NAME = r"[^\W\d_][\w .-]{0,60}"
_STYLES = (
    (r"\{\{\s*", r"\s*\}\}"),
    (r"<<\s*", r"\s*>>"),
    (r"\[\[\s*", r"\s*\]\]"),
    (r"\$\{\s*", r"\s*\}"),
    (r"\{\s*", r"\s*\}"),
    (r"\[\s*", r"\s*\]"),
    (r"<\s*", r"\s*>"),
    (r"%", r"%"),
    (r"@", r"@"),
    (r"__", r"__"),
)
"""How blanks are written, those first that hold another one."""
_BLANK = re.compile("|".join(f"{begin}(?P<s{at}>{_NAME}?){end}" for at, (begin, end) in enumerate(_STYLES)))
_LINE = re.compile(r"[ \t]*[\"']?([^\W\d_][\w .-]{0,60}?)[\"']?[ \t]*[:=](.*)")
_EMPTY_TAGS = ("<br>", "<hr>", "<p>", "<li>")
_NO_LETTERS = re.compile(r"[\W_]+")


async def fill_template(
    template: Annotated[
        str, Field(description="Text with blanks such as [NAME], {name}, <<name>> or %NAME%", max_length=MAX_TEXT)
    ],
    values: Annotated[
        JsonValue,
        WithJsonSchema({"description": "An object, a result of one row, or text with lines such as name: Ann"}),
    ],
) -> str:
    """Fill the blanks of a template, exactly. Returns the text."""
    given = _read(values)
    known = {_plain(name): text_of(value) for name, value in [*_inside(given), *_named(given)]}
    if not known:
        raise ToolError(
            "There are no values with names. Give an object, one row, or text with lines such as name: Ann."
        )
    styles: set[str] = set()

    def filled(blank: re.Match[str]) -> str:
        style = str(blank.lastgroup)
        value = known.get(_plain(blank[style]))
        if value is None:
            return blank[0]
        styles.add(style)
        return value

    text = _BLANK.sub(filled, template)
    named = ", ".join(name for name, _ in _named(given))[:_NAMES]
    if not styles:
        raise ToolError(f"No blank of the template is called like one of the values: {named}.")
    # Only in the template itself: a value that looks like a blank is a value.
    left = [
        blank[0]
        for blank in _BLANK.finditer(template)
        if blank.lastgroup in styles and filled(blank) == blank[0] and not _is_tag(blank[0], template)
    ]
    if left := list(dict.fromkeys(left)):
        raise ToolError(f"Nothing is called like {', '.join(left[:_SHOWN])}. There are: {named}. Give the others too.")
    if len(text) > MAX_TEXT:
        raise ToolError(f"What comes of it has over {MAX_TEXT:,} characters. Fill in less.")
    return text


def template_tool() -> Tool:
    """fill_template."""
    return tool(fill_template, risk=Risk.LOW, repeatable=True, reads_only=True)


def _is_tag(blank: str, template: str) -> bool:
    """Whether what stands in angle brackets is HTML."""
    return blank.startswith("<") and (blank.lower() in _EMPTY_TAGS or f"</{blank[1:]}" in template)


def _plain(name: str) -> str:
    return _NO_LETTERS.sub("", name).casefold()


def _read(values: JSON) -> JSON:
    """What a text holds, as JSON or as lines of names and values; the one row of a table; anything else as it is."""
    if isinstance(values, str):
        if len(text := values) > MAX_TEXT:
            raise ToolError(f"The values have {len(text):,} characters, and {MAX_TEXT:,} are the most. Give fewer.")
        try:
            values = decoded(text)
        except (ValueError, RecursionError):
            return {
                found[1]: found[2].strip().strip("\"'")
                for line in text.splitlines()
                if (found := _LINE.fullmatch(line))
            }
    table = table_in(values)
    if table is None:
        return values
    if len(table.rows) != 1:
        raise ToolError(f"These are {len(table.rows)} rows. Give one of them, or go over them with for_each.")
    return table.rows[0]


def _named(values: JSON, above: str = "") -> Iterator[tuple[str, JSON]]:
    """Every value with its name; one inside of another with both names."""
    for name, value in values.items() if isinstance(values, Mapping) else ():
        if isinstance(value, Mapping):
            yield from _named(value, f"{above}{name} ")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            yield f"{above}{name}", ", ".join(map(text_of, value))
        else:
            yield f"{above}{name}", value


def _inside(values: JSON) -> Iterator[tuple[str, JSON]]:
    """The values inside of others, by their own names alone."""
    for value in values.values() if isinstance(values, Mapping) else ():
        yield from [*_inside(value), *_named(value)]
