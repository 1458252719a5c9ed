"""Plans for lints to look at, in few words: a function for each tool, and what is said of a plan."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from forethought_patterns import Brief, Plan, Step
from forethought_patterns.lints import lints
from forethought_tools import JSON, Registry, Tool
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders
from forethought_tools.tool import Answerer

Call: TypeAlias = tuple[str, dict[str, JSON]]


async def _nothing(_: Mapping[str, JSON], __: Answerer) -> JSON:
    return None


def stub(name: str, *parameters: str, reads: bool = False) -> Tool:
    properties: JSON = {parameter: {} for parameter in parameters}
    return Tool(name, "", {"type": "object", "properties": properties}, _nothing, reads_only=reads)


TOOLS = Registry(
    [
        stub("crm/update", "deal"),
        *(replace(tool, doubted=None) for tool in builtin(Folders([]))),  # there are no files here to look at
    ]
)


def read(path: str) -> Call:
    return "read_file", {"path": path}


def query(sql: str, *paths: str) -> Call:
    return "query_table", {"sql": sql, "paths": [*paths]}


def write(brief: str, material: JSON = "") -> Call:
    return "write", {"brief": brief, "material": material}


def analyze(question: str, data: JSON = "") -> Call:
    return "analyze", {"question": question, "data": data}


def save(path: str, content: JSON) -> Call:
    return "write_file", {"path": path, "content": content}


def table(path: str, rows: JSON) -> Call:
    return "write_table", {"path": path, "rows": rows}


def calculate(expression: str) -> Call:
    return "calculate", {"expression": expression}


def tell(text: str) -> Call:
    return "tell", {"text": text}


def delete(path: str) -> Call:
    return "delete_file", {"path": path}


def find(text: str, **more: JSON) -> Call:
    return "search_files", {"text": text, **more}


def listing(pattern: str) -> Call:
    return "list_files", {"pattern": pattern}


async def said_of(
    goal: str, steps: Sequence[Call], files: str = "", new: str = "", tools: Registry = TOOLS
) -> list[str]:
    wire = [{"id": number, "tool": tool, "arguments": given} for number, (tool, given) in enumerate(steps, 1)]
    plan = Plan(goal, tuple(map(Step.model_validate, wire)))
    brief = Brief(goal, files=dict.fromkeys(files.split(), ""), new_files=new.split())
    return [str(fault) for fault in await lints(plan, brief, tools)]
