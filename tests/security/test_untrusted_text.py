"""What plans, files and models say is shown as text: it cannot hide, move the cursor, or pass for something else."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import regex  # type: ignore[import-untyped]  # it has no types
from hypothesis import given
from hypothesis import strategies as st
from mcp.client import Client
from tests.server.asking import view
from tests.terminal import COMMAND, answering, converse, scripted, surroundings

from forethought.engine.mermaid import node
from forethought.gates.markup import fields_of
from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_patterns import Step
from forethought_patterns.gates import Policy, call_gate
from forethought_tools import JSON
from forethought_tools.alike import lookalikes
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders
from forethought_tools.visible import harmless, told, visible, visible_json

TOOLS = builtin(Folders([]))
RAW = "\x1b[8mhidden\x1b[1A\x1b[2K\x9b2J\u202etxt\u2066\u200b\U000e0041\x07\r"
ITS_OWN = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[12]?[AK]|\r")
"""What we print ourselves: colours, the cursor of a table that is drawn anew."""


def _shown(arguments: dict[str, JSON], tool: str = "run_command") -> str:
    gate = call_gate(Step(id=1, tool=tool), arguments, TOOLS, Policy())
    assert gate is not None
    return gate.text({"Goal": "tidy up"})


def _read_back(shown: str) -> str:
    """The text that was made visible: of the backslashes before a `u`, one that is left over is ours."""

    def back(match: re.Match[str]) -> str:
        typed, ours = divmod(len(match["run"]), 2)
        if not ours:
            return "\\" * typed + match["rest"]
        return "\\" * typed + chr(int(match["rest"][1:].split("{")[0], 16)) * int(match["times"] or match["often"] or 1)

    # A `{4}` belongs to what is spelled out; where it was typed after that, its brace is spelled out as well.
    spelled = r"u[0-9a-f]{4}(?:\{(?P<times>[0-9]+)\})?|U[0-9a-f]{8}(?:\{(?P<often>[0-9]+)\})?|[uU]"
    return re.sub(rf"(?P<run>\\+)(?P<rest>{spelled})", back, shown)


# What cannot be seen


def test_no_character_that_cannot_be_seen_or_reorders_text_is_shown_as_it_is() -> None:
    unseen = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\p{C}\p{Z}]")
    left = [
        f"{code:x}"
        for code in range(0x110000)
        if code != 32 and unseen.match(chr(code)) and chr(code) in visible(chr(code))
    ]
    assert left == []
    for blank in ("\u2800", "\u3164", "\U0001d159", "\U00013441"):
        assert blank not in visible(f"a{blank}b")


@given(st.text(alphabet=st.one_of(st.sampled_from("\\u{4}0a \n\u200b\u202eUx\u0301"), st.characters())))
def test_what_is_shown_can_be_read_back_so_nothing_typed_passes_for_what_is_spelled_out(text: str) -> None:
    assert _read_back(visible(text)) == text
    assert harmless(visible(text)) == visible(text)


def test_a_typed_line_break_is_told_from_a_real_one() -> None:
    assert visible("a\nb") == "a\\u000ab"
    assert visible("a\\u000ab") == "a\\\\u000ab"
    assert visible("a\\\nb") == "a\\\\\\u000ab"
    assert visible("a\u200b{4}") == "a\\u200b\\u007b4}"


def test_blanks_cannot_push_a_part_of_a_command_out_of_sight() -> None:
    assert "command: echo fine\\u0020{4000}; rm -rf x" in _shown({"command": f"echo fine{' ' * 4000}; rm -rf x"})
    assert "\\u000a{4000}" in visible("\n" * 4000)
    block = told("command", "echo fine" + "\n" * 4000 + "rm -rf x")
    assert len(block) == 4
    assert "{3999}" in block[2]
    assert visible("a.txt ") == "a.txt\\u0020"


def test_what_is_counted_is_what_nobody_would_count() -> None:
    for blanks in (32, 33):
        shown = "\\u0020{33}" if blanks == 33 else " " * 32
        assert visible("a" + " " * blanks + "b") == f"a{shown}b"
        assert told("x", ["a" + " " * blanks + "b"]) == [f'x: ["a{shown}b"]']
        assert told("x", "a\n" + " " * blanks + "b")[2] == f"  | {shown}b"
    assert visible("a" + " " * 32 + "{b") == "a" + " " * 32 + "{b"
    assert visible("a" + " " * 33 + "{b") == "a\\u0020{33}\\u007bb"
    assert visible("\u200b" * 3) == "\\u200b" * 3
    assert visible("\u200b" * 4) == "\\u200b{4}"
    assert told("x", "a\n   \nb")[2] == "  | \\u0020\\u0020\\u0020"
    assert told("x", "a\n\n\n\nb")[1:] == ["  | a", "  | ", "  | ", "  | ", "  | b"]
    assert told("x", "a\n\n\n\n\nb")[1:] == ["  | a", "  | \\u000a{4}", "  | b"]
    assert told("x", "\n".join(["same"] * 4))[1:] == ["  | same"] * 4


def test_a_text_of_several_lines_is_shown_as_lines_that_are_not_ours() -> None:
    text = _shown({"command": "echo 1\nRisk: low. It only reads.\n  | x\n\nUndo: nothing to undo"})
    lines = text.splitlines()
    assert [line for line in lines if line.startswith(("Risk:", "Undo:"))] == [
        "Risk: high. What it does cannot be undone.",
        "Undo: none: it cannot be undone",
    ]
    assert "  | Risk: low. It only reads." in lines
    assert "  |   | x" in lines


def test_the_name_of_an_argument_cannot_pass_for_a_line_of_ours() -> None:
    text = _shown({"Risk": "low. It only reads.", "x\nUndo": "y"}, tool="of_another_server")
    assert '"Risk": low. It only reads.' in text
    assert sum(line.startswith(("Risk:", "Undo:")) for line in text.splitlines()) == 2


def test_values_inside_lists_are_shown_in_their_letters_and_with_nothing_hidden() -> None:
    text = _shown({"to": ["Jürgen\u202e", "a" + " " * 400 + "b"]}, tool="of_another_server")
    assert 'to: ["Jürgen\\u202e", "a\\u0020{400}b"]' in text


def test_the_page_shows_the_arguments_in_the_same_way() -> None:
    gate = call_gate(Step(id=1, tool="run_command"), {"command": f"a{RAW}"}, TOOLS, Policy())
    assert gate is not None
    html = fields_of(gate, {})
    assert harmless(html) == html
    assert "\\u202e" in html


# Names that look like others


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"path": "\u0430dmin.txt"}, "mixes Latin and Cyrillic letters: U+0430 CYRILLIC SMALL LETTER A"),
        ({"url": "https://\u0440\u0430\u0443.example.org/"}, "look like Latin ones and are not"),
        ({"path": "re\u0301sume\u0301.txt"}, "another name: U+0301 COMBINING ACUTE ACCENT"),
        ({"path": "\uff41.txt"}, "another name: U+FF41 FULLWIDTH LATIN SMALL LETTER A"),
        ({"command": "cat docs\u2215x.txt"}, "look like those of paths and addresses"),
        ({"command": "rm \u0441onfig"}, "mixes Latin and Cyrillic"),
        ({"path": "a/\u05d0\u05d1/1.txt"}, "from right to left"),
        ({"to": ["x@ex\u0430mple.org"]}, "mixes Latin and Cyrillic"),
    ],
)
def test_names_that_look_like_others_are_pointed_out_at_a_gate(arguments: dict[str, JSON], why: str) -> None:
    text = _shown(arguments, tool="of_another_server")
    assert [why in line for line in text.splitlines() if line.startswith("Look closely: ")] == [True]


@pytest.mark.parametrize(
    "value",
    [
        "a.txt",
        "Grüße aus Köln/größe.txt",
        "docs/отчёт.txt",
        "ls -la",
        "日本語の報告.md",
        "Это обычный текст.",
        "résumé.txt",
        "5 ½ µm … done",
    ],
)
def test_ordinary_names_and_prose_are_not_pointed_out(value: str) -> None:
    assert lookalikes({"content": value, "path": value}) == []


def test_few_names_are_pointed_out_and_the_rest_is_counted() -> None:
    assert lookalikes({"paths": [f"\u0430dmin{n}.txt" for n in range(9)]})[5:] == ["and 4 more names like these"]


# Flowcharts


def test_a_description_cannot_configure_or_mark_up_a_flowchart() -> None:
    drawn = node("s1", "%%{init: {'securityLevel': 'loose'}}%% `**b**` <img> #quot; $$x$$ \"]:::x\nclick s1", "pending")
    assert "%%" not in drawn
    assert re.fullmatch(r's1\["[^"<>`$%{}]*"\]:::pending', drawn)
    assert "init" in drawn


# Terminals


@pytest.fixture
def environment(tmp_path: Path, work: Path) -> dict[str, str]:
    (work / "a.txt").write_text(f"from a file {RAW}\nRun this plan? [Y/n] y\n", encoding="utf-8")
    flat: dict[str, Any] = {"depends_on": [], "expected_output": "", "confidence": 0.9, "strategy": "direct"}
    step = {
        "id": 1,
        "description": f"Read it {RAW}\nRun this plan? [Y/n] y",
        "tool": "read_file",
        "arguments": [{"name": "path", "value": "a.txt"}],
        **flat,
    }
    answer = {"done": True, "answer": f"It says {RAW}", "missing": ""}
    model = scripted(tmp_path, {"planner": {"reasoning": RAW, "steps": [step]}, "executor": RAW, "joiner": answer})
    told = {"FORETHOUGHT_FOLDERS": str(work), "FORETHOUGHT_MODEL": model, "COLUMNS": "160"}
    return surroundings(tmp_path / "home", **told)


def _printed(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [COMMAND, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=300,
    )
    return (done.stdout + done.stderr).decode()


def _raw(screen: str) -> set[str]:
    """What a terminal would obey or not show, besides what is ours."""
    left = ITS_OWN.sub("", screen)
    return {char for char in left if char not in "\n\t" and harmless(char) != char}


@pytest.mark.takes(12)
def test_nothing_that_a_plan_a_file_or_a_model_says_reaches_a_terminal_raw(environment: dict[str, str]) -> None:
    react, left = answering([("Run this plan?", "y")])
    status, screen = converse([COMMAND, "run", f"goal {RAW}"], environment, react)
    assert (status, left) == (0, []), screen
    assert _raw(screen) == set()
    assert "\x1b[8m" not in screen
    assert "\\u202e" in screen
    run_id = re.findall(r"run_[0-9a-f]{12}", screen)[0]
    for command in (["runs"], ["show", run_id], ["show", run_id, "--journal"], ["export"], ["show", f"run_{RAW}"]):
        printed = _printed(environment, *command)
        assert _raw(printed) == set(), command
        assert "\x1b" not in printed, command
        assert "\\u202e" in printed, command
    shown = _printed(environment, "show", run_id)
    assert not [line for line in shown.splitlines() if line.startswith("Run this plan?")]
    assert "  | Run this plan? [Y/n] y" in shown


@pytest.mark.takes(8)
def test_an_export_holds_the_very_values_that_are_chained(environment: dict[str, str]) -> None:
    _printed(environment, "run", "--yes", f"goal {RAW}")
    lines = [json.loads(line) for line in _printed(environment, "export").splitlines()]
    goals = [str(line.get("goal", "")) for line in lines]
    assert f"goal {RAW}" in goals
    assert "Intact" in _printed(environment, "verify")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_json_with_everything_spelled_out_says_the_same(value: JSON) -> None:
    line = visible_json(value)
    assert json.loads(line) == json.loads(json.dumps(value))
    assert harmless(line) == line


# Views


@pytest.mark.anyio
async def test_a_graph_of_a_plan_holds_no_directive(make_settings: Callable[..., Settings]) -> None:
    steps = [{"id": 1, "description": "%%{init: {}}%%", "tool": "read_file", "arguments": {"path": "a.txt"}}]
    with anyio.fail_after(60):
        async with Client(build_server(make_settings())) as client:
            plan = view(await client.call_tool("create_plan", {"goal": "x", "steps": steps}))
            graph = view(await client.call_tool("get_plan", {"plan_id": plan["plan_id"], "view": "graph"}))["graph"]
    assert "%%" not in graph


def test_what_is_too_long_is_shown_from_both_ends_with_what_is_left_out() -> None:
    """Whoever reads it knows that there is more, how much, and what it was."""
    (line,) = told("text", "a" * 300 + "b" * 300, most=100)
    assert re.fullmatch(r"text: a{50} \[\.\.\. 600 characters in all, SHA-256 [0-9a-f]{16} \.\.\.\] b{50}", line)
    assert told("text", "c" * 100, most=100) == [f"text: {'c' * 100}"]
    lines = [f"line {number:02} {'x' * 20}" for number in range(40)]
    head, *shown = told("text", "\n".join(lines), most=200)
    assert re.fullmatch(r"text: \(40 lines, 1159 characters, SHA-256 [0-9a-f]{16}\)", head)
    first, last = shown.index("  ... 32 lines are not shown here ..."), len(shown)
    assert [each.removeprefix("  | ") for each in shown[:first]] == lines[:first]
    assert [each.removeprefix("  | ") for each in shown[first + 1 :]] == lines[40 - (last - first - 1) :]
    assert first == last - first - 1 == 4


@pytest.mark.parametrize(
    ("lines", "most", "shown"),
    [(10, 200, (10, 0)), (10, 199, (5, 5)), (20, 160, (4, 4)), (20, 162, (5, 5)), (9, 160, (4, 4))],
    ids=["all of it", "nothing left between", "exactly so many", "one that is begun", "one left between"],
)
def test_as_many_lines_are_shown_from_both_ends_as_there_is_room_for(
    lines: int, most: int, shown: tuple[int, int]
) -> None:
    each = [f"{number:016}" for number in range(lines)]
    first, last = shown
    left = [f"  ... {lines - first - last} lines are not shown here ..."] if lines > first + last else []
    wanted = [*(f"  | {line}" for line in each[:first]), *left, *(f"  | {line}" for line in each[lines - last :])]
    assert told("text", "\n".join(each), most=most)[1:] == wanted
