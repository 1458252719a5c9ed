"""Structured output, by the best form that an endpoint can do; and faults are mended."""

import pytest
from tests.endpoints.fake import LOOSE, STRICT, Endpoint, able, asked, failure, in_turn, model_at, refused, said

from forethought_tools import JSON, ModelError


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("schema", "form"),
    [
        (STRICT, "strict"),
        (LOOSE, "schema"),
        ({**STRICT, "required": []}, "schema"),
        ({**STRICT, "properties": {"n": {}}}, "schema"),
        ({**STRICT, "properties": {"n": {"type": "array", "items": LOOSE}}}, "schema"),
        ({**STRICT, "properties": {"n": {"anyOf": [{"type": "null"}, STRICT]}}}, "strict"),
        ({**STRICT, "properties": {"n": {"type": "array", "uniqueItems": True}}}, "schema"),
    ],
)
async def test_strict_is_asked_for_only_where_the_schema_allows_it(
    endpoint: Endpoint, schema: dict[str, JSON], form: str
) -> None:
    endpoint.reply = in_turn(refused("stop here", 401))
    await failure(endpoint, schema)
    assert endpoint.forms() == [form]
    assert endpoint.asked[0]["response_format"]["json_schema"]["schema"] == schema


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("can", "tried"),
    [
        ("strict", ["strict"]),
        ("schema", ["strict", "schema"]),
        ("json_object", ["strict", "schema", "json_object"]),
        ("text", ["strict", "schema", "json_object", "text"]),
    ],
)
async def test_structured_output_goes_down_to_what_the_endpoint_can_do_and_remembers(
    endpoint: Endpoint, can: str, tried: list[str]
) -> None:
    endpoint.reply = able(can)
    async with model_at(endpoint.base_url) as model:
        first = await model.answer(asked(STRICT))
        second = await model.answer(asked(STRICT))
    assert first.value == second.value == {"n": 1}
    assert endpoint.forms() == [*tried, can]
    assert first.note == second.note
    assert bool(first.note) == (can != "strict")
    shown = '"additionalProperties"' in endpoint.asked[-1]["messages"][0]["content"]
    assert shown == (can in ("json_object", "text"))


@pytest.mark.anyio
async def test_a_schema_that_is_refused_does_not_degrade_the_next_one(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(refused("Invalid schema for response_format"), *[said('{"n": 1}')] * 3)
    async with model_at(endpoint.base_url) as model:
        await model.answer(asked(STRICT))
        await model.answer(asked({**STRICT, "title": "another"}))
        await model.answer(asked(STRICT))
    assert endpoint.forms() == ["strict", "schema", "strict", "schema"]


@pytest.mark.anyio
async def test_a_form_that_has_worked_is_not_given_up_for_one_refusal(endpoint: Endpoint) -> None:
    good = said('{"n": 1}')
    endpoint.reply = in_turn(good, refused("no"), good, good)
    async with model_at(endpoint.base_url) as model:
        for _ in range(3):
            await model.answer(asked(STRICT))
    assert endpoint.forms() == ["strict", "strict", "schema", "strict"]


@pytest.mark.anyio
async def test_a_question_that_every_form_is_refused_for_is_an_error_and_teaches_nothing(
    endpoint: Endpoint,
) -> None:
    endpoint.reply = in_turn(*[refused("no")] * 5, said('{"n": 1}'))
    async with model_at(endpoint.base_url) as model:
        with pytest.raises(ModelError, match=r"refused the question: .*FORETHOUGHT_MODEL"):
            await model.answer(asked(STRICT))
        await model.answer(asked(STRICT))
    assert endpoint.forms()[-1] == "strict"


@pytest.mark.anyio
async def test_a_question_that_is_too_long_is_asked_once(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(refused("This exceeds the maximum context length"))
    assert "Shorten the material" in str(await failure(endpoint, STRICT))
    assert len(endpoint.asked) == 1


@pytest.mark.anyio
async def test_a_schema_that_is_no_object_travels_in_a_box(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said('{"value": [1, 2]}'))
    schema: dict[str, JSON] = {
        "type": "array",
        "items": {"$ref": "#/$defs/n"},
        "$defs": {"n": {"type": "integer"}},
    }
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(schema))).value == [1, 2]
    sent = endpoint.asked[0]["response_format"]["json_schema"]
    assert sent["strict"]
    assert sent["schema"]["properties"]["value"] == {"type": "array", "items": {"$ref": "#/$defs/n"}}
    assert sent["schema"]["$defs"] == {"n": {"type": "integer"}}


@pytest.mark.anyio
@pytest.mark.parametrize("content", ['```json\n{"n": 1}\n```', 'Sure: {"n": 1}. Good luck!', ' {"n": 1}\n'])
async def test_json_is_found_in_what_surrounds_it(endpoint: Endpoint, content: str) -> None:
    endpoint.reply = able("text", content=content)
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(STRICT))).value == {"n": 1}


@pytest.mark.anyio
async def test_faults_are_shown_and_mended_and_all_calls_counted(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said("No idea."), said('{"n": "one"}'), said('{"n": 1}'))
    async with model_at(endpoint.base_url) as model:
        answer = await model.answer(asked(STRICT))
    assert (answer.value, answer.note) == ({"n": 1}, "repaired 2 times")
    assert (answer.usage.calls, answer.usage.input_tokens, answer.usage.output_tokens) == (3, 30, 15)
    assert "this is not JSON" in endpoint.asked[1]["messages"][-1]["content"]
    assert "answer.n: 'one' is not of type 'integer'" in endpoint.asked[2]["messages"][-1]["content"]


@pytest.mark.anyio
async def test_repair_is_bounded(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: said('{"n": NaN}')
    error = await failure(endpoint, STRICT)
    assert "no answer that fits the schema in 3 tries: this is not JSON: NaN" in str(error)
    assert (len(endpoint.asked), error.transient) == (3, False)
