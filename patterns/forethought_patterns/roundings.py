"""Rounding in SQL: small planners round to two decimals though nobody has said so, and the file has three."""

__all__ = ["with_decimals_of_files"]

import re
from collections.abc import Mapping, Sequence

from forethought_patterns.drafts import Brief
from forethought_patterns.script_sql import with_sql
from forethought_tools import JSON

_SAID = re.compile(
    r"\bround|\bdecimal|\bdigits?\b|\bplaces?\b|\bcents?\b|\bwhole\b|\bper ?cent|%|\b(?:thousand|hundred|ten)ths?\b"
)
_ROUNDED = re.compile(
    r"(\bround\(\s*(?:sum|avg|mean|median|min|max)\(\s*[\w.\"]{1,80}\s*\)\s*,\s*)(\d)(\s*\))", re.IGNORECASE
)
_DECIMALS = re.compile(r"(?<![\w.])\d{1,15}\.(\d{1,6})(?![\w.])")
_READ = 20_000  # characters of a goal, and of a file's beginning


def with_decimals_of_files(steps: Sequence[Mapping[str, JSON]], brief: Brief) -> Sequence[Mapping[str, JSON]]:
    """The steps, in whose SQL a sum, a mean or another figure of one column is rounded to no fewer decimals than the
    numbers of the files have, unless the goal speaks of decimals."""
    most = max((len(found) for text in brief.files.values() for found in _DECIMALS.findall(text[:_READ])), default=0)
    if _SAID.search(brief.goal[:_READ].lower()):
        return steps

    def finer(found: re.Match[str]) -> str:
        return f"{found[1]}{max(most, int(found[2]))}{found[3]}"

    return with_sql(steps, lambda sql: _ROUNDED.sub(finer, sql))
