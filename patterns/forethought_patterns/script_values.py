"""What stands in a script beside its calls: literal values, parts of results, and the few things that are worked out
while it is read, because they are about files that are there already."""

__all__ = [
    "ALSO",
    "GIVES_ROWS",
    "SIGNS",
    "TABLES",
    "TEXTS",
    "Literal",
    "Value",
    "as_json",
    "as_literal",
    "as_one_text",
    "as_sql",
    "called_on",
    "fitting",
    "holds",
    "in_script",
    "is_text",
    "member",
    "parameters",
    "reading",
    "rendered",
    "saving",
    "unreadable",
    "without_flags",
    "written",
    "written_over",
]

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TypeAlias

from forethought_patterns.references import Reference
from forethought_patterns.script_sql import as_meant
from forethought_tools import JSON, Fault, PlanError, Registry, Tool
from forethought_tools.text import as_text, clipped

Literal: TypeAlias = "str | int | float | bool | None"
Value: TypeAlias = "Literal | Reference | list[Value] | dict[str, Value]"

ALSO: Mapping[str, str] = {
    **dict.fromkeys(("print", "answer", "say", "show", "respond"), "tell"),
    **dict.fromkeys(("rename_file", "rename", "move", "mv"), "move_file"),
    **dict.fromkeys(("remove_file", "delete", "remove", "unlink", "rm"), "delete_file"),
    **dict.fromkeys(("copy", "duplicate_file", "cp", "backup_file", "backup"), "copy_file"),
    **dict.fromkeys(
        ("create_folder", "make_directory", "create_directory", "make_dir", "mkdir", "makedirs"), "make_folder"
    ),
    **dict.fromkeys(("save_file", "create_file", "save_text", "write_text", "save"), "write_file"),
    **dict.fromkeys(("save_table", "write_csv", "to_csv", "save_csv", "write_rows"), "write_table"),
    **dict.fromkeys(("replace_in_file", "replace_text", "update_file"), "edit_file"),
    **dict.fromkeys(("append_to_file", "append_text"), "append_file"),
    **dict.fromkeys(("load_file", "read", "open_file", "read_text"), "read_file"),
    **dict.fromkeys(("query", "sql", "select", "query_sql", "run_sql", "run_query"), "query_table"),
    **dict.fromkeys(("list_dir", "glob", "find_files", "get_files"), "list_files"),
    **dict.fromkeys(("search_text", "grep", "search"), "search_files"),
    **dict.fromkeys(("fill", "fill_in", "fill_form", "render_template", "render"), "fill_template"),
    **dict.fromkeys(("send_mail", "email", "mail"), "send_email"),
    **dict.fromkeys(("fetch", "get_url", "download"), "fetch_url"),
    **dict.fromkeys(("run", "execute", "shell"), "run_command"),
    **dict.fromkeys(("extract", "ask", "ask_model"), "analyze"),
}
"""What models of code call a tool that is not called so, and takes the same arguments in the same order."""
SIGNS: Mapping[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
TEXTS = (".md", ".txt", ".html")
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xlsx")
_SAVES = ("write_file", "write_table")
GIVES_ROWS = ("query_table", "list_files", "search_files")
_ASK = "Ask for it with query_table, write or analyze"
_OF_TEXT: Mapping[str, Callable[..., JSON]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
    "strip": str.strip,
    "replace": str.replace,
    "removeprefix": str.removeprefix,
    "removesuffix": str.removesuffix,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "zfill": str.zfill,
    "split": str.split,
}
_ONE_NAME = re.compile(r"[\w./*-]+")
_OF_PATH = ("path", "name", "stem", "suffix", "parent")
_COMPARED: Mapping[type[ast.cmpop], Callable[[JSON, JSON], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda part, whole: as_text(part) in as_text(whole),
    ast.NotIn: lambda part, whole: as_text(part) not in as_text(whole),
}


def in_script(name: str) -> str:
    """The name of a tool as a script can call it: those of other servers hold what no name of Python can."""
    return re.sub(r"\W", "_", name)


def unreadable(problem: str, mend: str) -> PlanError:
    """The error about a line of a script, which whoever reads the line knows by its number."""
    return PlanError([Fault("script", problem, mend)])


def written(text: str) -> str:
    """A literal text as an argument has it, in which double braces would refer. Nobody means a backspace by `\\b`."""
    return text.replace("\b", r"\b").replace("{{", r"\{{")


def as_literal(value: Value) -> Literal:
    """The value, if it is known while the script is read. Raises PlanError."""
    if isinstance(value, Reference | list | dict) or (isinstance(value, str) and "{{" in value.replace(r"\{{", "")):
        raise unreadable("what a result holds is not known while the plan is made", _ASK)
    return value


def rendered(value: Value, form: str = "") -> str:
    """The value inside a text, with the form that an f-string gives it."""
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, list | dict):
        return as_text(as_json(value))
    try:
        return format("" if value is None else value, form)
    except (ValueError, TypeError):
        raise unreadable(f"{form!r} does not form {clipped(str(value), 40)!r}", "Leave the form out") from None


def member(value: Value, key: Literal) -> Value:
    """A part of a result, of a list, or of a file's path."""
    if isinstance(value, Reference):
        if isinstance(key, int) and key < 0:
            raise unreadable("a result is counted from its beginning", "Sort it the other way, and take [0]")
        return Reference(value.step, (*value.path, str(key)))
    if isinstance(value, str) and key in _OF_PATH:
        return value if key == "path" else str(getattr(PurePosixPath(value), str(key)))
    try:
        if isinstance(value, dict) and isinstance(key, str):
            return value[key]
        if isinstance(value, list | str) and isinstance(key, int):
            return value[key]
    except (KeyError, IndexError):
        pass
    raise unreadable(f"there is no {key!r} in {clipped(as_text(as_json(value)), 60)}", "Use what is there")


def called_on(value: Value, name: str, arguments: list[Literal]) -> Value:
    """What a method of a text gives. Of a result it is not known yet."""
    text = as_literal(value)
    if not isinstance(text, str) or name not in _OF_TEXT:
        raise unreadable(f".{name}() cannot be used here", _ASK)
    try:
        found = _OF_TEXT[name](text, *arguments)
    except (TypeError, ValueError) as error:
        raise unreadable(f".{name}(): {error}", _ASK) from None
    return list(found) if isinstance(found, list) else found  # type: ignore[return-value]  # texts, or truth


def holds(test: ast.Compare, left: Literal, right: Literal) -> bool:
    """Whether a comparison of two known values holds."""
    compare = _COMPARED.get(type(test.ops[0]))
    if compare is None or len(test.ops) > 1:
        raise unreadable(f"{clipped(ast.unparse(test), 60)} cannot be decided here", _ASK)
    return compare(left, right)


def as_json(value: Value) -> JSON:
    """The value as an argument of a call has it."""
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, list):
        return [as_json(part) for part in value]
    if isinstance(value, dict):
        return {key: as_json(part) for key, part in value.items()}
    return value


def as_sql(arguments: Mapping[str, JSON]) -> Mapping[str, JSON]:
    """The name of a file, or of a result, where SQL is due means all of it."""
    sql = str(arguments.get("sql")).strip().strip("'\"")
    if not _ONE_NAME.fullmatch(sql):
        return {**arguments, "sql": as_meant(str(arguments.get("sql")))} if "sql" in arguments else arguments
    source = sql if sql.isidentifier() else f"'{sql}'"
    return {**arguments, "sql": f"SELECT * FROM {source}"}  # noqa: S608 - it is the model's own SQL


def parameters(known: Tool) -> list[str]:
    properties = known.parameters.get("properties")
    return list(properties) if isinstance(properties, Mapping) else []


def fitting(known: Tool, name: str, value: JSON) -> JSON:
    """A number or a flag where text is due, or one value where a list is, as it is meant."""
    properties = known.parameters.get("properties")
    schema = properties.get(name) if isinstance(properties, Mapping) else None
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if kind == "string" and isinstance(value, int | float):
        return as_text(value)
    if kind == "array" and isinstance(value, str):
        return [value]
    return value


def without_flags(known: Tool, arguments: Mapping[str, JSON]) -> dict[str, JSON]:
    """The arguments without such as `header=True`, where the tool has none of that name: a habit of models of code.
    `recursive=True` is said to a tool with patterns by the pattern."""
    names = parameters(known)
    kept = {name: value for name, value in arguments.items() if name in names or not isinstance(value, bool)}
    if arguments.get("recursive") is True and "pattern" in names and "**" not in str(kept.get("pattern", "**")):
        folder, _, name = str(kept["pattern"]).rstrip("/").rpartition("/")
        kept["pattern"] = "/".join(filter(None, [folder, "**", name])) if "*" in name else f"{kept['pattern']}/**/*"
    return kept


def is_text(node: ast.expr, names: Mapping[str, Value]) -> bool:
    """Whether something is put together from texts."""
    match node:
        case ast.JoinedStr() | ast.Constant(value=str()):
            return True
        case ast.BinOp(left=left, right=right):
            return is_text(left, names) or is_text(right, names)
        case ast.Name(id=name):
            return isinstance(names.get(name), str)
        case _:
            return False


def saving(
    tool: str, arguments: dict[str, JSON], steps: Sequence[Mapping[str, JSON]], tools: Registry
) -> tuple[str, dict[str, JSON]]:
    """Rows are saved by write_table and texts by write_file: which of the two is clear from what is saved."""
    saved = _saved(arguments)
    source = next((step["tool"] for step in steps if saved == str(Reference(int(str(step["id"]))))), None)
    path = str(arguments.get("path"))
    if tool == "write_file" and source in GIVES_ROWS and "write_table" in tools and path.endswith(TABLES):
        return "write_table", {"path": path, "rows": saved}
    texts = isinstance(saved, str) and source not in (*GIVES_ROWS, None)
    if tool == "write_table" and "rows" in arguments and texts:
        return "write_file", {"path": path, "content": saved}
    return tool, arguments


def written_over(tool: str, arguments: Mapping[str, JSON], steps: Sequence[dict[str, JSON]]) -> dict[str, JSON] | None:
    """The step whose text this one would write over, because both are for one file."""
    path = str(arguments.get("path"))
    if tool not in _SAVES or not path.lower().endswith(TEXTS) or not isinstance(_saved(arguments), str):
        return None
    for step in steps:
        given = step["arguments"]
        if step["tool"] in _SAVES and isinstance(given, Mapping) and given.get("path") == path:
            return step if isinstance(_saved(given), str) else None
    return None


def as_one_text(first: Mapping[str, JSON], arguments: Mapping[str, JSON]) -> dict[str, JSON]:
    """The arguments for both of two texts for one file."""
    given = first["arguments"]
    before = _saved(given) if isinstance(given, Mapping) else ""
    return {"path": arguments["path"], "content": f"{before}\n\n{_saved(arguments)}"}


def _saved(arguments: Mapping[str, JSON]) -> JSON:
    return arguments.get("content", arguments.get("rows"))


def reading(path: str) -> tuple[str, dict[str, JSON]]:
    """The tool that reads a file, with its arguments."""
    if path.lower().endswith(TABLES):
        return "query_table", {"sql": f"SELECT * FROM '{path}'"}  # noqa: S608 - it is read, in a process that can no more
    return "read_file", {"path": path}
