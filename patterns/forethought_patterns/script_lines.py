"""The text of a script as the lines that its reader goes through. Plain slips of small models are mended."""

__all__ = ["parsed"]

import ast
import keyword
import re
from collections.abc import Sequence

from forethought_tools import Fault, PlanError
from forethought_tools.syntax import statements
from forethought_tools.text import clipped

_MOST = 20_000  # characters of a script
_FROM = re.compile(r"^from (?=\w+ = )", re.MULTILINE)  # a slip of models that have just written SQL
_FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(rf"^({'|'.join(keyword.kwlist)})(?= = \w)", re.MULTILINE)


def parsed(text: str) -> Sequence[ast.stmt]:
    """The lines of a script. Raises PlanError."""
    lines = [line for line in text[:_MOST].split("\n") if not line.lstrip().startswith(("```", "files:", "goal:"))]
    code = _without_keywords(_FROM.sub("", "\n".join(lines)).strip())
    fenced = _FENCED.search(text[:_MOST])
    try:
        return statements(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        number = getattr(error, "lineno", None) or 1
        shown = clipped(code.split("\n")[min(number, code.count("\n") + 1) - 1], 120) if code else "nothing"
        mend = "Write only calls such as name = tool(...), one a line, with texts in double quotes"
        if fenced:  # with words around it
            return parsed(fenced[1])
        raise PlanError([Fault(f"line {number}", f"it cannot be read: {shown}", mend)]) from None


def _without_keywords(code: str) -> str:
    """A result may be called `return`: there, as an argument, and inside an f-string it gets a name that can be one."""
    for word in dict.fromkeys(_NAMED.findall(code)):
        places = rf"^{word}(?= = )|(?<=\{{){word}(?=[}}.\[:])|(?<=[(,] ){word}(?=[,)])|(?<=[(,]){word}(?=[,).])"
        code = re.sub(places, f"{word}_", code, flags=re.MULTILINE)
    return code
