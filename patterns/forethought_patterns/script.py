"""A plan as a short script of calls, which is how small models of code plan best. It is read, and never executed.

    totals = query_table("SELECT region, SUM(amount) AS total FROM 'sales.csv' GROUP BY region")
    write_table("totals.md", totals)
    tell(f"The first region is {totals.rows[0].region}.")

A line is a call of one tool, with parameters in the order of its schema or by keyword. Its name is that of its result,
which later lines refer to, whole (`totals`), in part (`totals.rows[0].region`) or inside a text (`f"{totals}"`); SQL
does it by the plain name. A loop goes over files that are there already, and is unfolded at once:

    for file in list_files("*.bak"):
        delete_file(file)

A loop over a result, and a condition on one, become `for_each` and `when` of the calls in them:

    for row in customers.rows:
        write_file(f"letters/{row.name}.txt", f"Dear {row.name}")
    if customers.count > 100:
        tell("There are many.")
"""

__all__ = ["FilesOf", "read_script"]

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TypeAlias, cast

from forethought_patterns.references import Reference
from forethought_patterns.script_cells import over_rows, the_value, with_results
from forethought_patterns.script_lines import parsed
from forethought_patterns.script_sql import FILES, lists_files
from forethought_patterns.script_turns import (
    bind,
    condition,
    in_each,
    in_rows,
    is_true,
    of_item,
    rows_in,
    sql_of,
    tool_of_rows,
    when,
)
from forethought_patterns.script_values import (
    ALSO,
    SIGNS,
    Value,
    as_json,
    as_literal,
    as_one_text,
    as_sql,
    called_on,
    fitting,
    in_script,
    is_text,
    member,
    parameters,
    reading,
    rendered,
    saving,
    unreadable,
    without_flags,
    written,
    written_over,
)
from forethought_tools import JSON, Fault, PlanError, Registry, Tool
from forethought_tools.text import clipped

FilesOf: TypeAlias = Callable[[str], Sequence[str]]
"""The paths of the files that fit a pattern, as they are now."""
_STEPS = 100
_SAME = ("str", "int", "float", "list")
_NUMERIC = ("round", "abs", "min", "max", "sum")


def read_script(
    text: str,
    tools: Registry,
    files_of: FilesOf,
    *,
    first: int = 1,
    known: Mapping[str, int] | None = None,
    shapes: str = "",
    bases: Mapping[str, str] | None = None,
    named: Sequence[str] = (),
) -> list[JSON]:
    """The steps of a script, in the wire format.

    Args:
        text: The script.
        tools: What it can call.
        files_of: Looks up the files that a loop goes over.
        first: The id of its first step.
        known: The steps whose results are there already, by the names of the results.
        shapes: What columns the files of the goal have.
        bases: The tables of databases, each with the file that it is in.
        named: The files that the goal names. A name which nothing has means the one that is called so, or the only one.

    Raises:
        PlanError: every line that cannot be read, with its mend.
    """
    names: dict[str, Value] = {name: Reference(step) for name, step in (known or {}).items()}
    reader = _Reader(tools, files_of, first, names, shapes, bases or {}, named)
    reader.source = named[0] if len(named) == 1 and named[0] not in text else ""
    reader.block(parsed(text))
    if reader.faults:
        raise PlanError(reader.faults)
    return [*reader.steps]


@dataclass
class _Reader:
    tools: Registry
    files_of: FilesOf
    first: int
    names: dict[str, Value]
    shapes: str
    bases: Mapping[str, str]
    named: Sequence[str]
    source: str = ""
    """The file that any name which nothing has must mean: the only one of the goal, while nothing reads it."""
    steps: list[dict[str, JSON]] = field(default_factory=list[dict[str, JSON]])
    faults: list[Fault] = field(default_factory=list[Fault])
    changes: list[int] = field(default_factory=list[int])
    """The last change, or the changes of the last loop: what comes later comes after them."""
    reads: list[int] = field(default_factory=list[int])
    """What was read since."""

    def block(self, lines: Sequence[ast.stmt]) -> None:
        for line in lines:
            try:
                self._line(line)
            except PlanError as error:
                self.faults += [replace(fault, where=f"line {line.lineno}") for fault in error.faults]
            except RecursionError:
                self.faults.append(Fault(f"line {line.lineno}", "it is nested too deeply", "Write simpler calls"))

    def _line(self, line: ast.stmt) -> None:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.names[name] = self._value(value, name)
            case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom() | ast.Pass():
                pass  # a remark, or what only a program would need
            case ast.Expr(value=value):
                self._value(value)
            case ast.For(target=target, iter=over, body=body, orelse=[]):
                self._loop(target, over, body)
            case ast.If(test=test, body=body, orelse=other):
                self._branch(test, body, other)
            case _:
                mend = "Write only calls such as name = tool(...); query_table reads files and counts what is in them"
                raise unreadable("this is no call", mend)

    # Loops

    def _loop(self, target: ast.expr, over: ast.expr, body: Sequence[ast.stmt]) -> None:
        """Unfold a loop. Its turns do not wait for each other; what follows waits for all of them."""
        if rows := self._rows(over):
            self._each(target, over, rows, lambda: self.block(body))
            return
        items = self._items(over)
        before, after = list(self.changes), list[int]()
        for item in items:
            if len(self.steps) > _STEPS:
                raise unreadable(f"it unfolds to over {_STEPS} steps", "Use a narrower pattern")
            bind(self.names, target, item)
            self.changes = list(before)
            self.block(body)
            after += [step for step in self.changes if step not in before]
        self.changes = after or before

    def _rows(self, over: ast.expr) -> Reference | None:
        """The list that a result holds, or none where a loop does not go over results."""
        if (source := rows_in(over)) is None or not isinstance(found := self._value(source), Reference):
            return None
        tool = tool_of_rows(found, self.steps)
        if tool == "list_files":
            return None
        return found if found.path else Reference(found.step, ("rows",)) if tool == "query_table" else None

    def _each(self, target: ast.expr, over: ast.expr, rows: Reference, body: Callable[[], object]) -> None:
        """The calls of a loop over a result."""
        sql = sql_of(rows, self.steps)
        self.names |= of_item(target, over, sql)
        before = len(self.steps)
        body()
        in_each(self.steps[before:], rows, sql)

    def _items(self, over: ast.expr) -> Sequence[Value]:
        match over:
            case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *start]):
                begin = as_literal(self._value(start[0])) if start else 0
                return [[number, item] for number, item in enumerate(self._items(inner), int(str(begin)))]
            case ast.Call(func=ast.Name(id="sorted"), args=[inner, *_]) | ast.Attribute(value=inner, attr="files"):
                return self._items(inner)
            case ast.Call(func=ast.Name(id="list_files")):
                return self._files(self._arguments(over, self.tools.known("list_files")))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return [*self._items(left), *self._items(right)]
            case ast.Name(id=name) if isinstance(found := self.names.get(name), Reference):
                return self._files(self._forgotten(found))
            case _:
                value = self._value(over)
                if isinstance(value, list):
                    return value
        raise unreadable("this loop does not go over files", 'Loop only over list_files("pattern") or over a list')

    def _files(self, arguments: Mapping[str, JSON]) -> Sequence[str]:
        pattern, folder = str(arguments.get("pattern", "**/*")), str(arguments.get("folder") or ".").rstrip("/")
        if "*" in folder:  # two patterns, by those who take it for `glob`
            return list(dict.fromkeys([*self._files({"pattern": pattern}), *self._files({"pattern": folder})]))
        whole = pattern if folder in (".", "") else f"{folder}/{pattern}"
        found = self.files_of(whole) or self.files_of(f"{whole.rstrip('/')}/*")  # a folder means what is in it
        if not found:
            raise unreadable(f"no file fits {whole!r}", "Use a pattern that fits the files that are there")
        return found

    def _forgotten(self, result: Reference) -> Mapping[str, JSON]:
        """The arguments of a step that lists files, which is no step any more: the loop has looked them up."""
        for step in self.steps:
            arguments = step["arguments"]
            if step["id"] == result.step and step["tool"] == "list_files" and isinstance(arguments, Mapping):
                self.steps.remove(step)
                self.reads = [number for number in self.reads if number != result.step]
                return arguments
        raise unreadable("this loop does not go over files", 'Loop only over list_files("pattern") or over a list')

    def _branch(self, test: ast.expr, body: Sequence[ast.stmt], other: Sequence[ast.stmt]) -> None:
        if (holds_ := condition(test, self._value)) is None:
            self.block(body if is_true(test, self._value) else other)
            return
        for lines, each in ((body, holds_), (other, f"not ({holds_})")):
            before = len(self.steps)
            self.block(lines)
            when(self.steps[before:], each)

    # Values

    def _value(self, node: ast.expr, name: str = "") -> Value:
        match node:
            case ast.Constant(value=str() as text):
                return written(text)
            case ast.Constant(value=None | bool() | int() | float() as value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
            case ast.Name(id=known) if known in self.names:
                return self.names[known]
            case ast.Name(id="true" | "false" | "null" as word):
                return {"true": True, "false": False}.get(word)
            case ast.Name(id=unknown) if path := self._file_called(unknown):
                self.names[unknown] = self._step(*reading(path), unknown)
                return self.names[unknown]
            case ast.Name(id=unknown):
                known = ", ".join(self.names) or "none"
                raise unreadable(f"there is no result {unknown!r}", f"Earlier results: {known}. Ask for it first")
            case ast.Attribute(value=whole, attr=part):
                return in_rows(member(self._value(whole), part), self.steps)
            case ast.Subscript(value=whole, slice=at):
                return in_rows(member(self._value(whole), as_literal(self._value(at))), self.steps)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self._value(part) for part in parts]
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                return {rendered(self._value(key)): self._value(value) for key, value in pairs if key is not None}
            case ast.JoinedStr(values=parts):
                return "".join(self._part(part) for part in parts)
            case ast.BinOp(op=ast.Add(), left=left, right=right) if is_text(node, self.names):
                return rendered(self._value(left)) + rendered(self._value(right))
            case ast.BinOp() | ast.UnaryOp():
                return self._step("calculate", {"expression": self._formula(node)}, name)
            case ast.ListComp(elt=call, generators=[ast.comprehension(target=item, iter=over, ifs=[])]) if (
                rows := self._rows(over)
            ):
                self._each(item, over, rows, lambda: self._value(call, name))
                return Reference(cast("int", self.steps[-1]["id"]))
            case ast.Call(func=ast.Attribute(value=whole, attr=method), args=arguments):
                return called_on(self._value(whole), method, [as_literal(self._value(each)) for each in arguments])
            case ast.Call(func=ast.Name(id=called)):
                return self._call(called, node, name)
            case _:
                shown = clipped(ast.unparse(node), 80)
                raise unreadable(f"{shown} is no call of a tool", "Do it with query_table, write or analyze")

    def _part(self, part: ast.expr) -> str:
        """A piece of an f-string."""
        if not isinstance(part, ast.FormattedValue):
            return rendered(self._value(part))
        value = self._value(part.value)
        form = rendered(self._value(part.format_spec)) if part.format_spec else ""
        value = the_value(value, self.steps) if isinstance(value, Reference) else value
        if isinstance(value, Reference) and (digits := re.fullmatch(r",?\.(\d)f", form)):
            return rendered(self._step("calculate", {"expression": f"round({value}, {digits[1]})"}))
        return rendered(value, form)

    def _formula(self, node: ast.expr) -> str:
        """Arithmetic as `calculate` reads it."""
        match node:
            case ast.BinOp(left=left, op=sign, right=right) if type(sign) in SIGNS:
                return f"({self._formula(left)} {SIGNS[type(sign)]} {self._formula(right)})"
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return f"-{self._formula(inner)}"
            case ast.Call(func=ast.Name(id=called), args=parts) if called in _NUMERIC:
                return f"{called}({', '.join(self._formula(part) for part in parts)})"
            case _:
                value = self._value(node)
                return rendered(the_value(value, self.steps) if isinstance(value, Reference) else value)

    # Calls

    def _call(self, called: str, node: ast.Call, name: str) -> Value:
        called = called if called in self.tools else ALSO.get(called, called)
        if called in _SAME and called not in self.tools and len(node.args) == 1:
            return self._value(node.args[0])
        if called == "len" and len(node.args) == 1 and isinstance(table := self._value(node.args[0]), Reference):
            return Reference(table.step, ("count",))
        if called in _NUMERIC and called not in self.tools:
            return self._step("calculate", {"expression": self._formula(node)}, name)
        if (known := self._known(called)) is None:
            near = self.tools.nearest(called)
            mend = f"Did you mean {' or '.join(near)}?" if near else "Use only the tools that are listed"
            raise unreadable(f"there is no tool {called!r}", mend)
        if known.asks and (result := self._result_in(node)) is not None:
            return self._step("tell", {"text": str(result)}, name)
        return self._step(known.name, self._arguments(node, known), name)

    def _result_in(self, node: ast.Call) -> Reference | None:
        """The result that is all that a call is given, in place of a wish."""
        match node:
            case ast.Call(args=[ast.Constant(value=str() as name)], keywords=[]):
                found = self.names.get(name)
            case ast.Call(args=[ast.Name() | ast.Attribute() | ast.Subscript() as result], keywords=[]):
                found = self._value(result)
            case _:
                found = None
        return found if isinstance(found, Reference) else None

    def _known(self, called: str) -> Tool | None:
        others = (tool for tool in self.tools if tool.source and in_script(tool.name) == called)
        return self.tools.get(called) or next(others, None)

    def _arguments(self, node: ast.Call, known: Tool) -> Mapping[str, JSON]:
        names = parameters(known)
        if known.asks and len(node.args) > len(names):  # several materials
            node = ast.Call(node.func, [*node.args[:1], ast.List([*node.args[1:]], ast.Load())], node.keywords)
        if len(node.args) > len(names):
            raise unreadable(f"{known.name} takes {len(names)} arguments, not {len(node.args)}", f"They are {names}")
        given = dict(zip(names, node.args, strict=False)) | {each.arg: each.value for each in node.keywords if each.arg}
        found = {name: as_json(self._value(value)) for name, value in given.items()}
        fits = {name: fitting(known, name, value) for name, value in found.items() if value is not None}
        return without_flags(known, fits)

    def _step(self, tool: str, arguments: Mapping[str, JSON], name: str = "") -> Reference:
        tool, arguments = saving(tool, dict(arguments), self.steps, self.tools)
        if first := written_over(tool, arguments, self.steps):
            tool, arguments = "write_file", as_one_text(first, arguments)
            self._forget(first)
        tool, arguments = self._over_rows(tool, arguments)
        if tool == "query_table":
            if "list_files" in self.tools and lists_files(arguments, {*self.names, *self.bases}):
                self.names[FILES] = self._step("list_files", {}, FILES)
            arguments = with_results(as_sql(arguments), self.names, self.steps, self.shapes, self.bases)
        number = 1 + max((cast("int", step["id"]) for step in self.steps), default=self.first - 1)
        if self.tools.reads_only(tool):
            after = list(self.changes)
            self.reads.append(number)
        else:
            after = [*self.changes, *self.reads]
            self.changes, self.reads = [number], []
        described = name.replace("_", " ")
        self.steps.append(
            {"id": number, "description": described, "tool": tool, "arguments": arguments, "depends_on": after}
        )
        return Reference(number)

    def _over_rows(self, tool: str, arguments: dict[str, JSON]) -> tuple[str, dict[str, JSON]]:
        """A calculation with columns is a query."""
        if tool != "calculate" or "query_table" not in self.tools:
            return tool, arguments
        expression = str(arguments.get("expression", ""))
        query = over_rows(expression, self.names, self.steps, self.shapes, self.source)
        if query is None:
            return tool, arguments
        self.source = self.source if "tables" in query else ""
        return "query_table", query

    def _file_called(self, name: str) -> str:
        found = next((path for path in self.named if PurePosixPath(path).stem == name), self.source)
        self.source = "" if found == self.source else self.source
        return found

    def _forget(self, step: dict[str, JSON]) -> None:
        self.steps.remove(step)
        self.changes = [number for number in self.changes if number != step["id"]]
        for other in self.steps:
            after = other["depends_on"]
            other["depends_on"] = [n for n in after if n != step["id"]] if isinstance(after, list) else after
