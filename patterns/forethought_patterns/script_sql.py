"""SQL that small models write: which tables it names, and what it means that is not as DuckDB has it."""

__all__ = [
    "FILES",
    "as_meant",
    "beside_quotes",
    "columns_of",
    "lists_files",
    "unquoted",
    "with_sources",
    "with_sql",
    "with_values",
]

import re
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial

from forethought_tools import JSON

_READ = 2_000  # characters of a query
_SELECT = re.compile(r"\s*select\s+", re.IGNORECASE)
_FROM = re.compile(r"\sfrom\s", re.IGNORECASE)
_GROUPED = re.compile(r"\sgroup\s+by\s+(?P<by>[\w.\", ]+)", re.IGNORECASE)
_AFTER = re.compile(r"\s(?:order|limit|having|qualify)\s.*", re.IGNORECASE | re.DOTALL)
_INNER_SELECT = re.compile(r"\bselect\b", re.IGNORECASE)
_BEST = re.compile(r"(?P<kind>max|min)\s*\(\s*(?P<by>[\w.\"]+)\s*\)(?:\s+as\s+[\w\"]+)?", re.IGNORECASE)
_WORKS_OUT = re.compile(r"\w+\s*\(")
_COLUMN = re.compile(r"(?:\w+\.)?\"?(?P<name>[a-z_]\w*)\"?(?:\s+as\s+\"?(?P<alias>\w+)\"?)?", re.IGNORECASE)
_PICK = {"max": "arg_max", "min": "arg_min"}

_QUOTED_SOURCE = re.compile(r"\b(?:from|join)\s+'([^']+)'", re.IGNORECASE)
_SEVERAL_TEXTS = re.compile(r"[^']*\*[^'*]*\.(?:md|txt|log|py|rst)", re.IGNORECASE)
_LITERAL = re.compile(r"('[^']*')")
_OF_EACH = re.compile(r"(\w)\[(?:\*|:)?\]\.(?=\w)")  # `items[*].price`, of each in a list
_OF_LIST = re.compile(r"\b(?:trim|lower|upper)\s*\(\s*(regexp_extract_all\((?:'[^']*'|[^()'])*\))\s*\)", re.IGNORECASE)
_COMMA = re.compile(r",(?![^()]*\))")  # that is in no brackets
_QUOTED_PARTS = re.compile(r"('[^']*'|\"[^\"]*\")")
_OF_FILE = re.compile(r"(?<![\w\".])(?<!\bas )(?:file_?name|file_?path|path|file|name)(?![\w\"(])", re.IGNORECASE)
_REPLACES = re.compile(r"\bregexp_replace\s*\(", re.IGNORECASE)
_MINUS_DAY = re.compile(r"(-\s*)('\d{4}-\d\d-\d\d')")
_DAY_MINUS = re.compile(r"(?<!date )('\d{4}-\d\d-\d\d')(?=\s*-)", re.IGNORECASE)
_PIECE = re.compile(r"'[^']*'|[(),]")
_SUM_OF_LINES = re.compile(r"\bsum\s*\(\s*\"?lines?\"?\s*\)", re.IGNORECASE)
_COUNT_OF_FILES = re.compile(r"\bcount\s*\(\s*\*\s*\)(?=\s+as\s+\"?(?:\w*_)?files?(?![a-z]))", re.IGNORECASE)
_UNION = re.compile(r"(\bunion\b(?:\s+all\b)?)", re.IGNORECASE)
_AGGREGATES = re.compile(r"\b(?:count|sum|avg|min|max)\s*\(", re.IGNORECASE)
_COUNTED = re.compile(r"\s*count\s*\([^()]*\)\s*", re.IGNORECASE)
_DISTINCT = re.compile(r"\s*select\s+distinct\b", re.IGNORECASE)
_LAST_NAME = re.compile(r"(?:^|[\s.\"])([A-Za-z_]\w*)\"?\s*$")
_NAME = re.compile(r"[A-Za-z_]\w*")
FILES = "files"
_DEFINES_FILES = re.compile(rf"\b{FILES}\b(?:\s*\([^()]*\))?\s+as\s*\(", re.IGNORECASE)
_SOURCES = re.compile(
    r"\b(?:from|join|using|pivot|unpivot|table|describe|summarize)\b(.*?)"
    r"(?=\b(?:select|where|group|order|having|qualify|limit|union|intersect|except)\b|$)",
    re.IGNORECASE | re.DOTALL,
)


def as_meant(sql: str) -> str:
    """The SQL, in which habits from other databases are said as DuckDB says them."""
    sql = _OF_EACH.sub(r"\1.", sql)
    sql = _OF_LIST.sub(r"unnest(\1)", sql)
    sql = _with_counts_named(sql)
    for mend in (
        _with_distinct_unions,
        _with_names_of_files,
        _with_groups_of_each,
        _with_best_of_each,
        _with_all_replaced,
        _with_dates,
    ):
        sql = mend(sql)
    return sql


def with_sources(
    arguments: Mapping[str, JSON], results: Mapping[str, str], bases: Mapping[str, str]
) -> Mapping[str, JSON]:
    """A query with what its SQL names: earlier results, also in quotes as files are, and files of databases by their
    tables."""
    if isinstance(sql := arguments.get("sql"), str):
        arguments = {**arguments, "sql": _QUOTED_SOURCE.sub(lambda found: _as_result(found, results), sql)}
    if isinstance(given := arguments.get("paths"), list):  # a result is a table, and no file, as one of a database is
        kept: list[JSON] = [path for path in given if path not in results and path not in bases]
        arguments = {name: value for name, value in arguments.items() if name != "paths"}
        arguments |= {"paths": kept} if kept else {}
    words = _tables_of(str(arguments.get("sql")))
    named: dict[str, JSON] = {name: result for name, result in results.items() if name in words}
    paths: list[JSON] = [*dict.fromkeys(bases[name] for name in bases if name in words - named.keys())]
    return {**({"tables": named} if named else {}), **({"paths": paths} if paths else {}), **arguments}


def with_values(arguments: Mapping[str, JSON], values: Mapping[str, str], shapes: str) -> Mapping[str, JSON]:
    """A query with what stands for the names of earlier results in it (`values`) where they are meant as values:
    `price * rate`. What files have a column of that name (`shapes`) is that column."""
    sql = arguments.get("sql")
    if not isinstance(sql, str) or len(sql) > _READ:
        return arguments
    no_values = {*_NAME.findall(shapes), *_tables_of(sql)}
    for name, value in values.items():
        if name not in no_values:
            meant = re.compile(rf"(?<![\w.])(?<!(?i:\bas ))(?<!(?i:\bby )){re.escape(name)}(?![\w.(])")
            sql = beside_quotes(sql, partial(meant.sub, value))
    return {**arguments, "sql": sql}


def beside_quotes(sql: str, change: Callable[[str], str]) -> str:
    """The SQL, changed wherever nothing stands in quotes."""
    return "".join(part if at % 2 else change(part) for at, part in enumerate(_QUOTED_PARTS.split(sql)))


def _as_result(source: re.Match[str], results: Mapping[str, str]) -> str:
    return source[0].replace(f"'{source[1]}'", source[1]) if source[1] in results else source[0]


def unquoted(sql: str) -> str:
    """The SQL without what stands in quotes."""
    return _QUOTED_PARTS.sub("", sql)


def lists_files(arguments: Mapping[str, JSON], known: Container[str]) -> bool:
    """Whether a query is of the files themselves: `FROM files`, and nothing has this name."""
    sql = str(arguments.get("sql"))
    return FILES in _tables_of(sql) and FILES not in known and not _DEFINES_FILES.search(sql)


def _tables_of(sql: str) -> set[str]:
    """The names that may be those of tables: `text` is a column in `SELECT text FROM a`."""
    plain = unquoted(sql)
    return {name for source in _SOURCES.findall(plain) for name in _NAME.findall(source)}


def columns_of(sql: str) -> list[str]:
    """The names of the columns that a query brings; none, where they cannot be told from it."""
    begins = _SELECT.match(sql) if len(sql) <= _READ else None
    ends = _FROM.search(sql, begins.end()) if begins else None
    if begins is None or ends is None:
        return []
    named = [_LAST_NAME.search(part) for part in _COMMA.split(sql[begins.end() : ends.start()])]
    return [name[1] for name in named if name] if all(named) else []


def _with_names_of_files(sql: str) -> str:
    """`SELECT name, SUM(line) FROM 'docs/*.md'`: texts have no such column, so the name is the file's, numbers of
    lines are counted, and what is called a number of files is one."""
    sources = _QUOTED_SOURCE.findall(sql) if len(sql) <= _READ else []
    if not sources or not all(_SEVERAL_TEXTS.fullmatch(source) for source in sources):
        return sql
    sql = _SUM_OF_LINES.sub("COUNT(*)", _COUNT_OF_FILES.sub("COUNT(DISTINCT filename)", sql))
    parts = _LITERAL.split(sql)  # every second one is quoted
    return "".join(part if at % 2 else _OF_FILE.sub("filename", part) for at, part in enumerate(parts))


def _with_counts_named(sql: str) -> str:
    """`SELECT COUNT(*) FROM x`: its column is called `count`, as in PostgreSQL, which is how scripts refer to it."""
    begins = _SELECT.match(sql) if len(sql) <= _READ else None
    ends = _FROM.search(sql, begins.end()) if begins else None
    if begins is None or ends is None:
        return sql
    parts = _COMMA.split(sql[begins.end() : ends.start()])
    named = [f"{part.rstrip()} AS count" if _COUNTED.fullmatch(part) else part for part in parts]
    return f"{sql[: begins.end()]}{','.join(named)}{sql[ends.start() :]}"


def _with_distinct_unions(sql: str) -> str:
    """`SELECT DISTINCT a FROM x UNION ALL SELECT DISTINCT a FROM y`: whoever wants each once wants all of them so."""
    parts = _UNION.split(sql) if len(sql) <= _READ else []
    distinct = len(parts) > 1 and all(_DISTINCT.match(part) for part in parts[::2])
    return "UNION".join(parts[::2]) if distinct else sql


def _with_groups_of_each(sql: str) -> str:
    """`SELECT a, COUNT(*) FROM x UNION SELECT a, COUNT(*) FROM y GROUP BY a`: what is grouped at the end is each of
    them."""
    parts = _UNION.split(sql) if len(sql) <= _READ and "(select" not in sql.lower() else []
    ends = _GROUPED.search(parts[-1]) if len(parts) > 1 else None
    if ends is None:
        return sql
    groups = f" GROUP BY {_AFTER.sub('', ends['by']).strip()} "
    return "".join(
        f"{part.rstrip()}{groups}" if _AGGREGATES.search(part) and not _GROUPED.search(part) else part for part in parts
    )


def _with_all_replaced(sql: str) -> str:
    """`regexp_replace(phone, '[^0-9]', '')` replaces all, as MySQL and Oracle have it: DuckDB wants to be told."""
    calls = [_inside(sql, begin.end()) for begin in _REPLACES.finditer(sql)] if len(sql) <= _READ else []
    for end in sorted((end for commas, end in calls if commas == 2), reverse=True):
        sql = f"{sql[:end]}, 'g'{sql[end:]}"
    return sql


def _with_dates(sql: str) -> str:
    """`due - '2026-03-01'`, as SQLite and MySQL have it: such a text is a date."""
    return _DAY_MINUS.sub(r"DATE \1", _MINUS_DAY.sub(r"\1DATE \2", sql)) if len(sql) <= _READ else sql


def _inside(sql: str, begin: int) -> tuple[int, int]:
    """How many commas part the arguments of a call, and where it ends."""
    depth, commas = 1, 0
    for piece in _PIECE.finditer(sql, begin):
        depth += {"(": 1, ")": -1}.get(piece[0], 0)
        commas += piece[0] == "," and depth == 1
        if not depth:
            return commas, piece.start()
    return 0, len(sql)


def _with_best_of_each(sql: str) -> str:
    """`SELECT team, player, MAX(points) ... GROUP BY team` is the player with the most points of each team, as SQLite
    and MySQL have it: where a query has one MAX or MIN, a column that it does not group by is of the same row."""
    begins = _SELECT.match(sql) if len(sql) <= _READ and len(_INNER_SELECT.findall(sql)) == 1 else None
    ends = _FROM.search(sql, begins.end()) if begins else None
    groups = _GROUPED.search(sql, ends.end()) if ends else None
    if begins is None or ends is None or groups is None:
        return sql
    what = sql[begins.end() : ends.start()]
    parts = [part.strip() for part in _COMMA.split(what)]
    best = [match for part in parts if (match := _BEST.fullmatch(part))]
    if len(best) != 1 or any(_WORKS_OUT.search(part) and not _BEST.fullmatch(part) for part in parts):
        return sql
    grouped = {part.strip().rpartition(".")[2].strip('"').lower() for part in _AFTER.sub("", groups["by"]).split(",")}
    picked = [_picked(part, best[0], grouped) for part in parts]
    return sql if picked == parts else f"{sql[: begins.end()]}{', '.join(picked)}{sql[ends.start() :]}"


def _picked(part: str, best: re.Match[str], grouped: set[str]) -> str:
    column = _COLUMN.fullmatch(part)
    names = {column["name"].lower(), (column["alias"] or "").lower()} if column else set[str]()
    if column is None or names & grouped:
        return part
    source = part[: column.end("name") + (1 if part[column.end("name") : column.end("name") + 1] == '"' else 0)]
    return f"{_PICK[best['kind'].lower()]}({source}, {best['by']}) AS {column['alias'] or column['name']}"


def with_sql(steps: Sequence[Mapping[str, JSON]], change: Callable[[str], str]) -> list[Mapping[str, JSON]]:
    """The steps, with all SQL changed."""
    found: list[Mapping[str, JSON]] = []
    for step in steps:
        given = step["arguments"]
        if step["tool"] == "query_table" and isinstance(given, Mapping) and isinstance(sql := given.get("sql"), str):
            step = {**step, "arguments": {**given, "sql": change(sql)}}
        found.append(step)
    return found
