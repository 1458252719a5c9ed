"""What SQL says of how a file is to be read: `read_csv('a.csv', delim = ';', header = false)`.

These are the words of DuckDB, which those who write SQL know. What is known is kept to; what is not is refused.
"""

__all__ = ["reader_options"]

import re
from collections.abc import Callable, Mapping

from forethought_tools.errors import ToolError
from forethought_tools.tool import JSON

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?P<word>[\w.+-]+)|(?P<sign>:=|=>|\S))", re.DOTALL
)
_TYPE = re.compile(r"[A-Za-z][A-Za-z ]{0,40}(\(\d{1,2}(, ?\d{1,2})?\))?")
# What is done anyway, or makes no difference here.
_DONE = frozenset(
    {"auto_detect", "sample_size", "union_by_name", "filename", "null_padding", "strict_mode", "parallel", "format"}
    | {"hive_partitioning", "hive_types_autocast", "max_line_size", "maximum_line_size", "buffer_size", "compression"}
    | {"ignore_errors", "store_rejects", "records", "maximum_object_size", "maximum_depth", "auto_type_candidates"}
)


def reader_options(text: str, reader: str) -> Mapping[str, JSON]:
    """The options in this text, which stands behind the name of a file. Raises ToolError where one is not known."""
    found: dict[str, JSON] = {"separated": True} if "csv" in reader.lower() else {}
    tokens = _Tokens(text)
    while tokens.take(","):
        name = tokens.next().lower()
        if not (tokens.take("=") or tokens.take(":=") or tokens.take("=>")):
            raise ToolError(f"{reader}: {name!r} has no value. Write it as {name} = value.")
        value = tokens.value()
        if name in _DONE:
            continue
        if name not in _KNOWN or "csv" not in reader.lower():
            raise ToolError(_unknown(reader, name))
        field, fitting = _KNOWN[name]
        found[field] = fitting(name, value)
    return found


def _unknown(reader: str, name: str) -> str:
    if reader.lower() == "read_xlsx":
        whole = f"{name} takes a name in quotes" if name == "sheet" else f"{reader} knows no {name!r} here"
        return (
            f"{whole}. Write read_xlsx('book.xlsx', sheet = 'Prices'), or leave it out: each sheet is read as a whole."
        )
    known = ", ".join(sorted(_KNOWN))
    return f"{reader} knows no {name!r} here. Leave it out; read_csv knows {known}."


class _Tokens:
    """The words and signs of the text, from left to right."""

    def __init__(self, text: str) -> None:
        self._left = [(each.lastgroup, each[each.lastgroup or 0]) for each in _TOKEN.finditer(text)]

    def take(self, sign: str) -> bool:
        """Whether this comes next; then it is passed."""
        if self._left and self._left[0][1] == sign:
            del self._left[0]
            return True
        return False

    def next(self) -> str:
        """The next word or text, without its quotes."""
        if not self._left:
            raise ToolError("The options of a reader end too early. Write them as name = value.")
        kind, text = self._left.pop(0)
        return text[1:-1].replace(text[0] * 2, text[0]) if kind == "text" else text

    def value(self) -> JSON:
        """A text, number, truth value, list, or object of texts."""
        for opening, closing in ("[]", "{}"):
            if self.take(opening):
                return self._several(closing)
        is_text = bool(self._left) and self._left[0][0] == "text"
        word = self.next()
        if is_text:
            return word
        return {"true": True, "false": False}.get(word.lower(), int(word) if word.isdecimal() else word)

    def _several(self, closing: str) -> JSON:
        items: list[JSON] = []
        pairs: dict[str, JSON] = {}
        while not self.take(closing):
            item = self.value()
            if self.take(":"):
                pairs[str(item)] = self.value()
            else:
                items.append(item)
            self.take(",")
        return pairs or items


def _sign(name: str, value: JSON) -> JSON:
    found = {"\\t": "\t", "tab": "\t"}.get(str(value), value)
    if not isinstance(found, str) or len(found) > 1:
        raise ToolError(f"{name} = {value!r}: give one character.")
    return found


def _truth(name: str, value: JSON) -> JSON:
    found = {"1": True, "0": False, "true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise ToolError(f"{name} = {value!r}: give true or false.")
    return found


def _number(name: str, value: JSON) -> JSON:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 1_000_000:
        raise ToolError(f"{name} = {value!r}: give how many lines.")
    return value


def _decimal(name: str, value: JSON) -> JSON:
    if value not in (",", "."):
        raise ToolError(f"{name} = {value!r}: give ',' or '.'.")
    return value


def _form(name: str, value: JSON) -> JSON:
    if not isinstance(value, str) or "%" not in value or len(value) > 60 or "{" in value:
        raise ToolError(f"{name} = {value!r}: give a form such as '%d/%m/%Y'.")
    return value


def _word(name: str, value: JSON) -> JSON:
    if not isinstance(value, str) or not value:
        raise ToolError(f"{name} = {value!r}: give a text.")
    return value


def _words(name: str, value: JSON) -> JSON:
    found = value if isinstance(value, list) else [value]
    if not found or not all(isinstance(each, str) for each in found):
        raise ToolError(f"{name} = {value!r}: give a text or a list of texts.")
    return found


def _types(name: str, value: JSON) -> JSON:
    if not isinstance(value, dict) or not all(_TYPE.fullmatch(str(each)) for each in value.values()):
        raise ToolError(f"{name} = {value!r}: give the types by column, such as {{'id': 'VARCHAR'}}.")
    return {column: str(each) for column, each in value.items()}


_KNOWN: Mapping[str, tuple[str, Callable[[str, JSON], JSON]]] = {
    **dict.fromkeys(("delim", "sep", "separator", "delimiter"), ("separator", _sign)),
    **dict.fromkeys(("quote", "quotechar"), ("quote", _sign)),
    "escape": ("escape", _sign),
    "comment": ("comment", _sign),
    "header": ("header", _truth),
    "skip": ("skip", _number),
    "encoding": ("encoding", _word),
    **dict.fromkeys(("decimal_separator", "decimal"), ("decimal", _decimal)),
    **dict.fromkeys(("dateformat", "timestampformat", "date_format"), ("dates", _form)),
    "all_varchar": ("all_text", _truth),
    "nullstr": ("missing", _words),
    **dict.fromkeys(("names", "column_names"), ("names", _words)),
    **dict.fromkeys(("types", "dtypes", "column_types", "columns"), ("types", _types)),
}
