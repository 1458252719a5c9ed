"""From a goal to a valid plan: drafts in three forms, exact faults back to the planner, never more than three tries."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from forethought.models.scripted import ScriptedModel
from forethought_patterns import Brief, Dialect, InMemoryJournal, Outcome, Plan, Slot, Step, make_plan
from forethought_patterns.planner import Progress, doubt, replan
from forethought_patterns.recipe import library
from forethought_tools import JSON, PlanError, Registry
from forethought_tools.builtin import builtin
from forethought_tools.folders import Folders

pytestmark = pytest.mark.anyio

TOOLS: Registry = builtin(Folders([]))


def _wire(*steps: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "description": "",
        "arguments": {},
        "depends_on": [],
        "expected_output": "",
        "confidence": 1,
        "strategy": "direct",
    }
    return {"reasoning": "because", "steps": [{**empty, **step} for step in steps]}


READ = {"id": 1, "tool": "read_file", "arguments": {"path": "a.txt"}}


async def _plan(
    *drafts: JSON,
    dialect: Dialect = "wire",
    goal: str = "g",
    files: Mapping[str, str] | None = None,
    new_files: tuple[str, ...] = (),
    names: Sequence[str] = (),
) -> tuple[Plan, InMemoryJournal]:
    journal = InMemoryJournal(ScriptedModel({"planner": drafts}), spoken=dialect)
    brief = Brief(goal, files=files or {}, new_files=new_files, names=names)
    return await make_plan(brief, TOOLS, journal, slot=Slot()), journal


async def test_an_invalid_draft_goes_back_with_its_exact_faults() -> None:
    plan, journal = await _plan(_wire({**READ, "depends_on": [5]}), _wire(READ))
    assert len(plan.steps) == 1
    assert list(journal.answers) == ["plan/0", "plan/1"]
    repair = journal.questions[1].context
    assert "step 1: it depends on step 5, which is not in the plan. Known steps: 1" in repair
    assert '"depends_on": [5]' in repair


async def test_after_two_repairs_the_faults_are_the_callers() -> None:
    with pytest.raises(PlanError, match="has no steps"):
        await _plan(_wire(), _wire(), _wire())


async def test_repairs_do_not_pile_up_in_the_prompt() -> None:
    _, journal = await _plan(_wire({**READ, "depends_on": [5]}), _wire({**READ, "depends_on": [6]}), _wire(READ))
    last = journal.questions[2].context
    assert "[6]" in last
    assert "[5]" not in last


async def test_files_that_the_goal_names_and_a_small_model_forgets_are_asked_for_again() -> None:
    short = 'text = read_file("a.txt")\nnote = write("A note", text)\nwrite_file("out.md", note)\n'
    named: dict[str, Any] = {"files": {"a.txt": "", "b.csv": ""}, "new_files": ("out.md",), "dialect": "lean"}
    plan, journal = await _plan(short, f'{short}delete_file("b.csv")', **named)
    assert [step.tool for step in plan.steps] == ["read_file", "write", "write_file", "delete_file"]
    assert "the goal names b.csv, and no step uses it" in journal.questions[1].context
    assert journal.questions[1].variety > journal.questions[0].variety, "the same words would come again"
    with pytest.raises(PlanError, match=r"the goal names b\.csv"):
        await _plan(*[short] * 4, **named)


async def test_the_last_result_of_a_script_goes_into_the_file_that_the_goal_wants() -> None:
    for script, tool in (('query_table("SELECT 1")', "write_table"), ('write("A poem")', "write_file")):
        plan, _ = await _plan(script, dialect="lean", new_files=("out.md",))
        saving = plan.steps[-1]
        assert (saving.tool, saving.arguments["path"]) == (tool, "out.md")
        assert "{{1}}" in saving.arguments.values()


async def test_the_answer_to_a_question_is_told_and_not_saved_where_nobody_looks() -> None:
    script = 'names = list_files("photos/*")\nwrite_table("names.md", names)'
    for goal, last in (
        ("which photos are there? give me the names", {"text": "{{1}}"}),
        ("save the names of the photos", {"path": "names.md", "rows": "{{1}}"}),
        ("which photos are there? put them into names.md", {"path": "names.md", "rows": "{{1}}"}),
    ):
        new = ("names.md",) if "names.md" in goal else ()
        plan, _ = await _plan(script, dialect="lean", goal=goal, new_files=new)
        assert plan.steps[-1].arguments == last


async def test_files_of_an_ending_that_the_goal_names_are_not_forgotten() -> None:
    goal, names = "move all pictures (.jpg and *.png) from in into pictures", ["in/a.jpg", "in/b.PNG", "in/c.txt"]
    moves = [f'move_file("{name}", "pictures/{name[3:]}")' for name in names]
    plan, journal = await _plan(moves[0], "\n".join(moves[:2]), dialect="lean", goal=goal, names=names)
    assert len(plan.steps) == 2
    assert "the goal names .png, and no step takes up such a file. Take up files such as in/b.PNG too" in (
        journal.questions[1].context
    )


async def test_a_small_planner_that_brings_its_faults_back_sees_other_recipes_and_not_its_own_script() -> None:
    journal = InMemoryJournal(ScriptedModel({"planner": ["foo()", "foo()", 'read_file("a.txt")']}), spoken="lean")
    await make_plan(Brief("g", recipes=library()[:6]), TOOLS, journal, slot=Slot())
    first, second, last = journal.questions
    assert first.examples == second.examples
    assert "foo()" in second.context
    assert last.examples[-1] == first.examples[-1], "the nearest stays"
    assert not {*last.examples[:-1]} & {*first.examples}
    assert "foo()" not in last.context
    assert "there is no tool 'foo'" in last.context


async def test_a_small_planner_is_asked_again_where_its_plan_does_not_seem_to_do_what_the_goal_says(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text("day,x\n2026-01-02,3\n", encoding="utf-8")

    def query(sql: str) -> str:
        return f'found = query_table("{sql}")\nwrite_table("out.csv", found)'

    by_date = query("SELECT day, sum(x) AS x FROM 'a.csv' GROUP BY day")
    by_month = query("SELECT strftime(day, '%Y-%m') AS month, sum(x) AS x FROM 'a.csv' GROUP BY month")
    for second, stands in ((by_month, by_month), (by_date, by_date), ("nonsense(", by_date)):
        journal = InMemoryJournal(ScriptedModel({"planner": [by_date, second, second]}), spoken="lean")
        brief = Brief("Sum x of a.csv per month into out.csv", files={"a.csv": ""}, new_files=("out.csv",))
        plan = await make_plan(brief, builtin(Folders([tmp_path])), journal, slot=Slot())
        assert str(plan.steps[0].arguments["sql"]) in stands
        assert "the goal says 'per month', and nothing does it" in journal.questions[1].context


@pytest.mark.parametrize(
    ("source", "wanted", "meant"),
    [
        ("docs/a.md", "2026_docs/a.md", "docs/2026_a.md"),
        ("docs/in/a.md", "old-docs/in/a.md", "docs/in/old-a.md"),
        ("a.md", "2026_a.md", "2026_a.md"),
        ("docs/a.md", "kept/docs/a.md", "kept/docs/a.md"),
        ("docs/a.md", "2026/a.md", "2026/a.md"),
    ],
)
async def test_what_is_put_before_a_path_is_meant_for_its_name(source: str, wanted: str, meant: str) -> None:
    plan, _ = await _plan(f"move_file({source!r}, {wanted!r})", dialect="lean", names=[source])
    assert plan.steps[0].arguments == {"source": source, "destination": meant}
    named = f"Move it to {wanted.rpartition('/')[0]}"
    plan, _ = await _plan(f"move_file({source!r}, {wanted!r})", dialect="lean", names=[source], goal=named)
    assert plan.steps[0].arguments["destination"] == wanted or "/" not in wanted


PROSE = {"a.md": "# Rules\n", "b.eml": "From: x"}


@pytest.mark.parametrize(
    ("goal", "new", "tools"),
    [
        ("According to a.md, how many days do I have?", (), ["read_file", "analyze", "tell"]),
        ("What do a.md and b.eml say?", (), ["read_file", "read_file", "analyze", "tell"]),
        ("Answer b.eml in reply.txt", ("reply.txt",), ["read_file", "write", "write_file"]),
        ("Write an invitation with the facts of c.json to out.txt", ("out.txt",), ["read_file", "write", "write_file"]),
        ("Convert c.json to out.txt", ("out.txt",), None),
        ("Answer b.eml in reply.csv", ("reply.csv",), None),
        ("How many days are there in t.csv?", (), None),
        ("Delete a.md", (), None),
        ("Put a.md in order", (), None),
    ],
)
async def test_where_a_small_planner_brings_no_valid_plan_a_goal_about_texts_has_one(
    goal: str, new: Sequence[str], tools: Sequence[str] | None
) -> None:
    named = {name: text for name, text in {**PROSE, "t.csv": "a", "c.json": "{}"}.items() if name in goal}
    journal = InMemoryJournal(ScriptedModel({"planner": ["foo()"] * 4}), spoken="lean")
    making = make_plan(Brief(goal, files=named, new_files=new), TOOLS, journal, slot=Slot())
    if tools is None:
        with pytest.raises(PlanError, match="no tool 'foo'"):
            await making
        return
    plan = await making
    assert [step.tool for step in plan.steps] == tools
    asked = next(step for step in plan.steps if step.tool in ("analyze", "write"))
    assert goal in str(asked.arguments)
    assert all(f"{{{{{n}}}}}" in str(asked.arguments) for n in range(1, len(named) + 1))


async def test_flat_drafts_get_typed_arguments() -> None:
    def pair(name: str, value: str) -> dict[str, str]:
        return {"name": name, "value": value}

    flat = _wire(
        {"id": 1, "tool": "query_table", "arguments": [pair("sql", "SELECT 1"), pair("paths", '["a.csv"]')]},
        {"id": 2, "tool": "wait", "arguments": [pair("seconds", "2")]},
        {"id": 3, "tool": "read_file", "arguments": [pair("path", "7"), pair("max_lines", "{{2}}")]},
    )
    plan, journal = await _plan(flat, dialect="flat")
    assert [step.arguments for step in plan.steps] == [
        {"sql": "SELECT 1", "paths": ["a.csv"]},
        {"seconds": 2},
        {"path": "7", "max_lines": "{{2}}"},
    ]
    schema = journal.questions[0].schema
    assert schema["additionalProperties"] is False, "strict mode allows closed objects only"


async def test_a_script_that_pretends_is_asked_for_again_in_its_own_words() -> None:
    wrong = 'text = read_file("a.log")\nnote = write("The gist", text)\nwrite_file("out.md", text)'
    right = wrong.replace('"out.md", text', '"out.md", note')
    named: dict[str, Any] = {"files": {"a.log": ""}, "new_files": ("out.md",), "dialect": "lean"}
    plan, journal = await _plan(wrong, right, **named)
    assert plan.steps[2].arguments["content"] == "{{2}}"
    repair = journal.questions[1].context
    assert "- write_file(...): it saves text, a file as it was read," in repair
    assert "nothing uses the result of note = write(...). Most probably note is meant in its place" in repair
    with pytest.raises(PlanError, match="Most probably note is meant"):
        await _plan(*[wrong] * 4, **named)


async def test_what_is_done_already_is_not_asked_for_again() -> None:
    done = Step(id=1, tool="read_file", arguments={"path": "a.txt"}, description="text")
    failed = Step(id=2, tool="write_file", arguments={"path": "out.md", "content": "x"})
    outcomes = {1: Outcome("succeeded", value="alpha"), 2: Outcome("failed", error="no")}
    progress = Progress(Plan("Put the gist of b.txt into out.md", (done, failed)), outcomes, "it failed", {}, 3)
    scripts = ['calculate("mean(b)")', 'note = write("The gist", read_file("b.txt"))\nwrite_file("out.md", note)']
    journal = InMemoryJournal(ScriptedModel({"planner": scripts}), spoken="lean")
    brief = Brief(progress.plan.goal, files={"b.txt": ""}, new_files=["out.md"])
    plan = await replan(progress, brief, TOOLS, journal, key="replan/1", slot=Slot())
    assert plan is not None
    assert [step.tool for step in plan.steps] == ["read_file", "read_file", "write", "write_file"]
    assert "calculate(...): calculate knows no 'b'" in journal.questions[1].context
    assert len(journal.questions) == 2, "that nothing uses what was read before is no fault of the rest"


async def test_a_small_planner_reads_what_did_not_work_as_a_script() -> None:
    """It goes on in the form of what it sees last."""
    failed = Step(id=1, tool="edit_file", arguments={"path": "a.ini", "old": "debug = no", "new": "debug = off"})
    progress = Progress(Plan("g", (failed,)), {1: Outcome("failed", error="no such line")}, "it failed", {}, 2)
    journal = InMemoryJournal(ScriptedModel({"planner": ['read_file("a.ini")']}), spoken="lean")
    await replan(progress, Brief("g"), TOOLS, journal, key="replan/1", slot=Slot())
    asked = journal.questions[0].context
    assert 'edit_file("a.ini", "debug = no", "debug = off")  # (failed: no such line)' in asked
    assert '{"path"' not in asked


async def test_the_lean_prompt_is_short_and_ends_with_the_goal() -> None:
    journal = InMemoryJournal(ScriptedModel({"planner": ['read_file("a.txt")']}), spoken="lean")
    brief = Brief("What is in a.txt?", files={"a.txt": "one\ntwo\n"}, names=["a.txt", "b.txt"], recipes=library()[:5])
    await make_plan(brief, TOOLS, journal, slot=Slot())
    (question,) = journal.questions
    assert question.context.endswith("goal: What is in a.txt?")
    assert "a.txt: one | two" in question.context
    assert "a.txt: one | two; b.txt\n" in question.context
    assert len(question.instructions) < 5000


@pytest.mark.parametrize(
    ("goal", "shown"),
    [
        ("Sum a.csv into r.md, then delete draft.md", False),
        ("Rename draft.md to final.md", False),
        ("Add up what draft.md lists, then delete draft.md", True),
        ("Fill in draft.md and save it as final.md", True),
    ],
)
async def test_a_text_that_is_only_put_away_is_named_to_a_small_planner_and_not_shown(goal: str, shown: bool) -> None:
    journal = InMemoryJournal(ScriptedModel({"planner": [{"always": 'read_file("draft.md")'}]}), spoken="lean")
    files = {"draft.md": "# First draft\n", "a.csv": "x\n1\n"}
    with suppress(PlanError):  # no good plan for any of them
        await make_plan(Brief(goal, files=files, names=["draft.md", "a.csv"]), TOOLS, journal, slot=Slot())
    (question, *_) = journal.questions
    assert "draft.md" in question.context.partition("goal:")[0]
    assert ("# First draft" in question.context) == shown
    assert "a.csv: x | 1" in question.context


async def test_a_small_planner_is_shown_the_nearest_recipes_and_no_other_tools_than_they_call() -> None:
    recipes = [recipe for recipe in library() if recipe.tools == ("delete_file",)][:1] or library()[:1]
    journal = InMemoryJournal(ScriptedModel({"planner": ['read_file("a.txt")']}), spoken="lean")
    await make_plan(Brief("g", recipes=recipes), TOOLS, journal, slot=Slot())
    (question,) = journal.questions
    assert question.examples[0][1] == recipes[0].script
    assert "send_email(" not in question.instructions


async def test_a_model_may_doubt_its_plan() -> None:
    plan, _ = await _plan(_wire(READ))
    assert await doubt(plan, InMemoryJournal(ScriptedModel({"verdict": [0.2]})), slot=Slot()) == 0.2
    small = InMemoryJournal(ScriptedModel({"verdict": [0.9]}, lean=True))
    assert await doubt(plan, small, slot=Slot()) is None, "a small one takes nearly every plan for right"
