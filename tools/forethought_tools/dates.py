"""Days of the calendar, as `calculate` counts them. A date goes in as people write it, and comes out as 2026-03-14."""

__all__ = ["DATE_FUNCTIONS"]

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta

_LONGEST = 100  # characters
# No date stands in it: small models would take that.
_WRITE = "Write it as YYYY-MM-DD, or with the name of the month and the whole year, in quotes"
_NUMERIC = re.compile(r"\s*(\d{1,2})([/.-])(\d{1,2})\2\d{4}\b")
_ISO = re.compile(r"(?<![\w-])\d{4}-\d\d-\d\d(?![\w-])")
_YEAR = re.compile(r"(?<!\d)\d{4}(?!\d)")


def parsed(written: object) -> date:
    """The day that a text means, and the only one that it can mean: also a sentence with one date in it. Raises
    ValueError with how to write it."""
    if not isinstance(written, str) or len(written) > _LONGEST:
        raise ValueError(f"{str(written)[:_LONGEST]} is not a date. {_WRITE}")
    said = set(_ISO.findall(written))
    try:
        return datetime.fromisoformat(said.pop() if len(said) == 1 else written.strip()).date()
    except ValueError:
        return _as_people_write(written)


def _as_people_write(written: str) -> date:
    from dateutil import parser  # slow to import, and few runs calculate with dates

    numeric = _NUMERIC.match(written)
    if numeric and numeric[1] != numeric[3] and int(numeric[1]) <= 12 and int(numeric[3]) <= 12:
        raise ValueError(f"{written!r} can be read as day and month in either order. {_WRITE}")
    try:
        # What the text leaves open is taken from the default: with two of them that shows.
        first, second = (parser.parse(written, default=each, ignoretz=True).date() for each in _DEFAULTS)
    except (ValueError, OverflowError):
        raise ValueError(f"{written!r} is not a date that can be read. {_WRITE}") from None
    if first != second or not _YEAR.search(written):
        raise ValueError(f"{written!r} does not say day, month and a year of four digits. {_WRITE}")
    return first


_DEFAULTS = (datetime(2000, 1, 1), datetime(2017, 12, 31))  # noqa: DTZ001 - only the day of them counts


def today() -> str:
    return datetime.now().astimezone().date().isoformat()


def day(written: object) -> str:
    return parsed(written).isoformat()


def days(first: object, last: object) -> int:
    return (parsed(last) - parsed(first)).days


def weekdays(first: object, last: object) -> int:
    """Days from Monday to Friday, the first and the last included, as spreadsheets count working days."""
    start, end = parsed(first), parsed(last)
    if start > end:
        return -weekdays(last, first)
    weeks, rest = divmod((end - start).days + 1, 7)
    return weeks * 5 + sum((start.weekday() + ahead) % 7 < 5 for ahead in range(rest))


def weekday(written: object) -> str:
    return ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")[parsed(written).weekday()]


def add_days(written: object, count: object) -> str:
    return (parsed(written) + timedelta(days=_whole(count))).isoformat()


def add_months(written: object, count: object) -> str:
    """The same day of another month, or its last day where it has fewer."""
    from dateutil.relativedelta import relativedelta

    return (parsed(written) + relativedelta(months=_whole(count))).isoformat()


def add_years(written: object, count: object) -> str:
    return add_months(written, 12 * _whole(count))


def months(first: object, last: object) -> int:
    """Whole months between two days."""
    from dateutil.relativedelta import relativedelta

    between = relativedelta(parsed(last), parsed(first))
    return between.years * 12 + between.months


def years(first: object, last: object | None = None) -> int:
    """Whole years between two days, or until today: an age."""
    whole = abs(months(first, today() if last is None else last)) // 12
    return whole if parsed(first) <= parsed(today() if last is None else last) else -whole


def _whole(count: object) -> int:
    if not isinstance(count, int | float) or count != int(count):
        raise ValueError(f"{str(count)[:_LONGEST]} is not a whole number of days or months")
    return int(count)


DATE_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "today": today,
    "date": day,
    "days": days,
    "weekdays": weekdays,
    "weekday": weekday,
    "add_days": add_days,
    "add_months": add_months,
    "add_years": add_years,
    "months": months,
    "years": years,
    "age": years,
}
