from pathlib import Path

import pytest

from forethought.models.scripted import ScriptedModel
from forethought_patterns.ports import Model
from forethought_tools import JSON, ModelError, Question, Role

TEXT: dict[str, JSON] = {"type": "string"}


def asked(role: Role = Role.PLANNER, schema: dict[str, JSON] | None = None) -> Question:
    return Question(role, "Do this.", "With that thing.", TEXT if schema is None else schema)


@pytest.mark.anyio
async def test_the_answers_of_a_role_come_in_order_and_are_counted() -> None:
    model: Model = ScriptedModel({"planner": ["one two", "three"], "critic": ["no"]})
    first = await model.answer(asked())
    assert (first.value, first.model) == ("one two", "scripted")
    assert (first.usage.calls, first.usage.input_tokens, first.usage.output_tokens) == (1, 5, 2)
    assert (await model.answer(asked(Role.CRITIC))).value == "no"
    assert (await model.answer(asked())).value == "three"


@pytest.mark.anyio
async def test_running_out_of_answers_is_an_error_that_says_so() -> None:
    model = ScriptedModel({"planner": ["one"]})
    await model.answer(asked())
    with pytest.raises(ModelError, match="1 answers for 'planner' and one more was asked for"):
        await model.answer(asked())


@pytest.mark.anyio
async def test_an_always_entry_answers_from_there_on() -> None:
    model = ScriptedModel({"planner": ["one", {"always": "two"}, "never"]})
    assert [(await model.answer(asked())).value for _ in range(4)] == ["one", "two", "two", "two"]


@pytest.mark.anyio
async def test_an_answer_that_does_not_fit_the_schema_is_an_error() -> None:
    model = ScriptedModel({"planner": ["one"]})
    with pytest.raises(ModelError, match=r"does not fit its schema: .*'one' is not of type 'integer'"):
        await model.answer(asked(schema={"type": "integer"}))


@pytest.mark.anyio
async def test_a_function_is_given_each_question_and_questions_are_kept() -> None:
    model = ScriptedModel(lambda question: question.context.upper(), name="echo", lean=True)
    assert (await model.answer(asked())).value == "WITH THAT THING."
    assert model.questions == [asked()]
    assert (model.name, model.lean) == ("echo", True)


@pytest.mark.anyio
async def test_verdicts_are_yes_unless_the_script_has_its_own() -> None:
    assert (await ScriptedModel({}).verdict(asked())).value == 1.0
    model = ScriptedModel({"verdict": [0.25, 7]})
    assert (await model.verdict(asked())).value == 0.25
    with pytest.raises(ModelError, match="does not fit"):
        await model.verdict(asked())


@pytest.mark.anyio
async def test_a_script_can_be_a_file(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"planner": ["one"]}', encoding="utf-8")
    assert (await ScriptedModel.from_file(script).answer(asked())).value == "one"
    script.write_text('["one"]', encoding="utf-8")
    with pytest.raises(ModelError, match="must be an object of lists"):
        ScriptedModel.from_file(script)
    with pytest.raises(ModelError, match="cannot be read"):
        ScriptedModel.from_file(tmp_path / "none.json")
