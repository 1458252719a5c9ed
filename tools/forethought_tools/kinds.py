"""Of which kind the texts of a column are: numbers, dates, truth. What is not the usual is told.

Part of the child program of `query_table`, so it imports nothing that takes long. A column that has one text of another
kind stays text: nothing is dropped and nothing changed without a word.
"""

__all__ = [
    "AS_ISO",
    "DECIMAL_COMMA",
    "ISO",
    "KINDS",
    "MISSING",
    "TEXT",
    "Kind",
    "is_text",
    "kind_of",
    "of_format",
    "spoilt",
]

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

MISSING = ("na", "n/a", "null", "none", "nan", "-", "--", "?", "#n/a")
"""What stands in a column of numbers or dates where nothing is known."""
NBSP = "\u00a0\u202f"
_WHOLE = r"(0|[1-9]\d{0,17})"
_EXACT = r"(0|[1-9]\d{0,14})"  # what a number with a fraction holds without loss
_PLAIN = str.maketrans("\u2212" + NBSP, "-  ")
_DAY = r"\d{1,2}"
_CLOCK = r"\d{1,2}:\d{2}(:\d{2})?"
_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"


AS_ISO = ("T", "auto")  # a moment as ISO 8601 has it, for `isoformat`


@dataclass(frozen=True)
class Kind:
    """How texts of one kind are read: the pattern that all of them fit, and the SQL that reads one (`{}`)."""

    type: str
    pattern: str
    sql: str
    note: str = ""
    sign: str | None = None
    """Not none: it stands before or after numbers, and is left away before they are read, as in $5 or 5 kg."""
    ambiguous: bool = False
    """Whether another kind would fit as well."""
    written: tuple[str, str] = AS_ISO
    """Of moments that are all written alike: what stands before the time, and how exact it is, for `isoformat`."""

    def fits(self, text: str) -> bool:
        return re.fullmatch(self.pattern, self.bare(text)) is not None

    def value(self, sql: str) -> str:
        """The SQL of a value without what stands around it."""
        if self.sign is None:
            return sql
        sign = self.sign.replace("'", "''")
        plain = f"translate({sql}, '\u2212{NBSP}', '-  ')"
        bare = f"replace({plain}, '{sign}', '')" if sign else plain
        around = rf"regexp_replace(trim({bare}), '^\(\s*([0-9., ]+?)\s*\)$', '-\1')"
        return rf"regexp_replace(replace({around}, '- ', '-'), '^([0-9., ]+)-$', '-\1')"

    def bare(self, text: str) -> str:
        """A value without what stands around it."""
        if self.sign is None:
            return text
        bare = text.translate(_PLAIN).replace(self.sign, "").strip(" ")
        bare = re.sub(r"^\(\s*([0-9., ]+?)\s*\)$", r"-\1", bare).replace("- ", "-")
        return re.sub(r"^([0-9., ]+)-$", r"-\1", bare)


def _times(form: str, clocks: Sequence[str]) -> str:
    forms = ", ".join(f"'{form} {clock}'" for clock in clocks)
    return f"strptime(replace({{}}, '-', '/'), [{forms}, '{form}'])"


TEXT = Kind("VARCHAR", r"(?s:.*)", "{}")
INTEGER = Kind("BIGINT", rf"-?{_WHOLE}|\+(0|[1-9]\d{{0,5}})", "CAST({} AS BIGINT)")
NUMBER = Kind(
    "DOUBLE",
    rf"-?{_EXACT}|\+(0|[1-9]\d{{0,5}})|[+-]?{_EXACT}?\.\d+([eE][+-]?\d{{1,3}})?",  # a long one with + is a telephone's
    "CAST({} AS DOUBLE)",
)
SCIENTIFIC = Kind("DOUBLE", rf"{NUMBER.pattern}|[+-]?\d(\.\d*)?[eE][+-]\d{{1,3}}", "CAST({} AS DOUBLE)")
EXPONENTS = Kind("DOUBLE", rf"{NUMBER.pattern}|[+-]?\d(\.\d*)?[eE][+-]?\d{{1,3}}", "CAST({} AS DOUBLE)")
_GROUPED = "|".join(rf"[1-9]\d{{0,2}}({sign}\d{{3}}){{1,4}}" for sign in (",", "['\u2019]", f"[ {NBSP}]"))
_LAKHS = r"[1-9]\d?(,\d{2}){1,5},\d{3}"  # as in India
THOUSANDS = Kind(
    "DOUBLE",
    rf"-?({_GROUPED}|{_LAKHS}|{_EXACT})(\.\d+)?",
    f"CAST(translate({{}}, ', {NBSP}''\u2019', '') AS DOUBLE)",
)
DECIMAL_COMMA = Kind(
    "DOUBLE",
    rf"-?([1-9]\d{{0,2}}([. {NBSP}'\u2019]\d{{3}}){{1,4}}|{_EXACT})?(,\d+)?",
    f"CAST(replace(translate({{}}, '. {NBSP}''\u2019', ''), ',', '.') AS DOUBLE)",
)
_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
DATE = Kind("DATE", r"\d{4}-\d{2}-\d{2}", "CAST({} AS DATE)")
_ALIKE = tuple(
    Kind("TIMESTAMP", DATE.pattern + before + r"\d{2}:\d{2}" + more, "CAST({} AS TIMESTAMP)", written=(before, exact))
    for before in (" ", "T")
    for more, exact in (("", "minutes"), (r":\d{2}", "seconds"))
)
STAMP = Kind("TIMESTAMP", r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?", "CAST({} AS TIMESTAMP)")
ZONED = Kind(
    "TIMESTAMP",
    r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?\s?(Z|UTC|GMT|[+-]\d{2}(:?\d{2})?)",
    "make_timestamp(epoch_us(CAST(replace({}, 'GMT', 'UTC') AS TIMESTAMPTZ)))",
    "its times are given in UTC",
)
SLASHED = Kind("DATE", rf"\d{{4}}[/.]{_DAY}[/.]{_DAY}", "CAST(replace(replace({}, '/', '-'), '.', '-') AS DATE)")
DOTTED = Kind("DATE", rf"{_DAY}\.{_DAY}\.\d{{4}}", "CAST(strptime({}, '%d.%m.%Y') AS DATE)", "day first")
DOTTED_TIME = Kind(
    "TIMESTAMP",
    rf"{_DAY}\.{_DAY}\.\d{{4}}( {_CLOCK})?",
    "strptime({}, ['%d.%m.%Y %H:%M:%S', '%d.%m.%Y %H:%M', '%d.%m.%Y'])",
    "day first",
)
_DAYS = r"(0?[1-9]|[12]\d|3[01])[/-](0?[1-9]|1[0-2])[/-]\d{4}"
_MONTHS = r"(0?[1-9]|1[0-2])[/-](0?[1-9]|[12]\d|3[01])[/-]\d{4}"
DAY_FIRST = Kind("DATE", _DAYS, "CAST(strptime(replace({}, '-', '/'), '%d/%m/%Y') AS DATE)", "day first")
MONTH_FIRST = Kind("DATE", _MONTHS, "CAST(strptime(replace({}, '-', '/'), '%m/%d/%Y') AS DATE)", "month first")
_CLOCKS = ("%H:%M:%S", "%H:%M")
_HALVES = ("%I:%M:%S %p", "%I:%M %p")
DAY_FIRST_TIME = Kind("TIMESTAMP", rf"{_DAYS}( {_CLOCK})?", _times("%d/%m/%Y", _CLOCKS), "day first")
MONTH_FIRST_TIME = Kind("TIMESTAMP", rf"{_MONTHS}( {_CLOCK})?", _times("%m/%d/%Y", _CLOCKS), "month first")
DAY_FIRST_HALF = Kind("TIMESTAMP", rf"{_DAYS} {_CLOCK} (?i:[ap]m)", _times("%d/%m/%Y", _HALVES), "day first")
MONTH_FIRST_HALF = Kind("TIMESTAMP", rf"{_MONTHS} {_CLOCK} (?i:[ap]m)", _times("%m/%d/%Y", _HALVES), "month first")
NAMED = Kind(
    "DATE",
    rf"{_DAY}[ -]{_MONTH}[ -]\d{{4}}",
    "CAST(strptime(replace({}, '-', ' '), ['%d %b %Y', '%d %B %Y']) AS DATE)",
)
NAMED_FIRST = Kind("DATE", rf"{_MONTH} {_DAY}, \d{{4}}", "CAST(strptime({}, ['%b %d, %Y', '%B %d, %Y']) AS DATE)")
LOGICAL = Kind("BOOLEAN", r"(?i:true|false)", "CAST({} AS BOOLEAN)")
CLOCK = Kind("TIME", r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d", "CAST({} AS TIME)")
ISO = (DATE, *_ALIKE, STAMP)
_NUMBERS = (INTEGER, NUMBER, SCIENTIFIC, THOUSANDS, DECIMAL_COMMA)
KINDS = (
    *_NUMBERS,
    *(*ISO, ZONED, SLASHED, DOTTED, DOTTED_TIME, DAY_FIRST, MONTH_FIRST, DAY_FIRST_TIME, MONTH_FIRST_TIME),
    *(DAY_FIRST_HALF, MONTH_FIRST_HALF, NAMED, NAMED_FIRST, LOGICAL, CLOCK),
)
_DATES = tuple(kind for kind in KINDS if kind not in (*_NUMBERS, LOGICAL))
_SURE = 3  # values by which a column is said to be nearly of one kind
_LOOK = 200  # values that tell which kinds there are in it
_OTHERWISE = {",": (NUMBER.sql, THOUSANDS.sql), ".": (DECIMAL_COMMA.sql,)}
_EITHER_WAY = ((DAY_FIRST, MONTH_FIRST), (DAY_FIRST_TIME, MONTH_FIRST_TIME), (DAY_FIRST_HALF, MONTH_FIRST_HALF))
_STAYS = "so it stays text"
UNTOLD = replace(TEXT, note=f"days and months cannot be told apart, {_STAYS}")
MANY_DATES = replace(TEXT, note=f"its dates are not all of one form that is known, {_STAYS}")
SEVERAL_FORMS = replace(TEXT, note=f"its numbers or dates are written in several forms, {_STAYS}")
LONG = replace(TEXT, note=f"numbers of so many digits would lose some, {_STAYS}")
ID_OR_POWER = replace(TEXT, note=f"1E5 may be a name or a number, {_STAYS}")
_DATELIKE = re.compile(rf"(?:\d{{4}}[-/.]{_DAY}[-/.]{_DAY}|{_DAY}[-/.]{_DAY}[-/.](?:\d{{4}}|\d{{2}}))(?:[ T]\d.*)?")
_NUMBER = re.compile(r"[+-]?(0|[1-9][\d,]*)(\.\d+)?")
_ODD = re.compile(r"[^\d.,+-]|-$")
_DIGITS = 15  # that a number with a fraction holds without loss
MOST = 100_000  # values that are looked at
_POWER = re.compile(r"[+-]?\d(\.\d*)?[eE]\+?\d{1,3}")
_MONEY = r"US\$|R\$|[$\u20ac\u00a3\u00a5\u20b9]|USD|EUR|GBP|CHF|JPY|SEK|NOK|DKK|PLN|CZK|zł|Kč|kr"
_UNIT = (
    r"%|kg|mg|µg|km|cm|mm|ml|cl|ms|min|[kKMG]i?B|TB|bytes|°C|°F|kWh?|MWh?|[kMG]?Hz|lbs?|oz|ft|in|mi|mph|km/h"
    r"|m²|m³|(?<= )[ghlms]"
)
_SIGNED = re.compile(
    rf"[(+\u2212-]?\s?(?P<before>{_MONEY})?\s?[+\u2212-]?(?=[\d.,])[\d., {NBSP}']*\d-?[ {NBSP}]?"
    rf"(?P<after>{_MONEY}|{_UNIT})?\)?"
)


def kind_of(values: Iterable[str], kinds: Sequence[Kind] = KINDS, *, decimal: str = "") -> Kind:
    """The first kind that all values fit, and text where none does or there is no value.

    Where `1,200` and `1.200` may be either, `decimal` says what separates decimals in this file: a comma or a point
    where that is known, `;` where a comma is likely.
    """
    left, seen = [kind for kind in kinds if kind.sql not in _OTHERWISE.get(decimal, ())], list[str]()
    rest = iter(values)
    for value in rest:
        if value.lower() in MISSING:
            continue
        seen.append(value)
        left = [kind for kind in left if kind.fits(value)]
        if not left:
            break
    if not seen:
        return TEXT
    if not left:
        return _uncommon([*seen, *islice(rest, MOST)], decimal) if INTEGER in kinds else TEXT
    return _chosen(left, seen, decimal)


def is_text(value: str) -> bool:
    """Whether it is neither a number nor a date."""
    return kind_of([value]) in (TEXT, ID_OR_POWER)


def _chosen(left: Sequence[Kind], seen: Sequence[str], decimal: str) -> Kind:
    """Of the kinds that fit all values, the one that is meant."""
    if any(one in left and other in left for one, other in _EITHER_WAY):
        return UNTOLD
    kind = left[0]
    if kind.sql == THOUSANDS.sql and left[-1].sql == DECIMAL_COMMA.sql:
        kind = replace(left[-1] if decimal in (",", ";") else kind, ambiguous=True)
    elif kind == NUMBER and DECIMAL_COMMA in left and any(map(_POINTS.fullmatch, seen)):
        kind = replace(DECIMAL_COMMA if decimal == "," else NUMBER, ambiguous=True)
    return _exemplified(kind, seen)


def _exemplified(kind: Kind, seen: Sequence[str]) -> Kind:
    """The kind with an example of how one of its values is read, where that is not obvious."""
    if kind.sql not in (THOUSANDS.sql, DECIMAL_COMMA.sql) and not kind.ambiguous and kind.sign is None:
        return kind
    telling = next((value for value in seen if not value.lstrip("+-").isdigit()), seen[0])
    bare = kind.bare(telling)
    marks = f" {NBSP}'\u2019"
    drop, point = {THOUSANDS.sql: (f",{marks}", "."), DECIMAL_COMMA.sql: (f".{marks}", ",")}.get(kind.sql, ("", "."))
    number = bare.translate({ord(each): None for each in drop}).replace(point, ".")
    number = number.rstrip("0").rstrip(".") if "." in number else number
    return replace(kind, note=f"{telling[:40]} is read as {number[:40]}")


def _uncommon(values: Sequence[str], decimal: str) -> Kind:
    """Numbers with signs and units around them, and what only looks like numbers or dates, with why it stays text."""
    present = [value for value in values if value.lower() not in MISSING]
    if found := _with_sign(present, decimal):
        return found
    if all(map(_POWER.fullmatch, present)):
        return ID_OR_POWER
    if all(map(EXPONENTS.fits, present)):
        return EXPONENTS
    if all(map(_DATELIKE.fullmatch, present)):
        return MANY_DATES
    if all(map(_NUMBER.fullmatch, present)) and any(sum(map(str.isdigit, value)) > _DIGITS for value in present):
        return LONG
    return _mostly(present)


def _with_sign(values: Sequence[str], decimal: str) -> Kind | None:
    """Numbers with a sign of money, a unit, a percent sign, or the minus of accountants, the same in all of them."""
    found = [_SIGNED.fullmatch(value) for value in values]
    if not all(found):
        return None
    named = sorted({each["before"] or each["after"] or "" for each in found if each} - {""})
    if len(named) > 1:
        return replace(TEXT, note=f"its numbers are in {' and in '.join(named[:3])}, {_STAYS}")
    if named == ["%"] and any("%" not in value and value.strip("0.,") for value in values):
        return replace(TEXT, note=f"only some of its numbers have a percent sign, {_STAYS}")
    known = [replace(each, sign="".join(named)) for each in _NUMBERS if each.sql not in _OTHERWISE.get(decimal, ())]
    left = [kind for kind in known if all(map(kind.fits, values))]
    return _chosen(left, [*filter(_ODD.search, values), *values], decimal) if left else None


def _mostly(values: Sequence[str]) -> Kind:
    """Text, and which value makes it so where half of the others, or more, are numbers or dates."""
    kinds = ([kind for kind in family if any(map(kind.fits, values[:_LOOK]))] for family in (_NUMBERS, _DATES))
    odd = min(([value for value in values if not any(k.fits(value) for k in family)] for family in kinds), key=len)
    if not odd:
        return SEVERAL_FORMS
    if len(values) >= _SURE and len(odd) <= max(1, len(values) // 5):
        return spoilt(odd[0])
    return spoilt(odd[0], "some") if 2 * len(set(odd)) <= len(set(values)) else TEXT


def spoilt(value: str, how_many: str = "nearly all") -> Kind:
    """Text, because of one value among numbers or dates."""
    return replace(TEXT, note=f"{how_many} are numbers or dates, but {value[:40]!r} is none, {_STAYS}")


def of_format(form: str) -> Kind:
    """Dates and times of the form that was given."""
    dates = any(part in form for part in ("%H", "%I", "%M", "%S", "%T"))
    sql = f"strptime({{}}, '{form.replace(chr(39), chr(39) * 2)}')"
    return Kind("TIMESTAMP", TEXT.pattern, sql) if dates else Kind("DATE", TEXT.pattern, f"CAST({sql} AS DATE)")
