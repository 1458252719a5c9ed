"""JSON as models write it is read by its schema; what is missing is never made up."""

import pytest
from tests.endpoints.fake import Endpoint, asked, failure, in_turn, model_at, said

from forethought_patterns.drafts import closed_object
from forethought_tools import JSON

pytestmark = pytest.mark.anyio

STEP = closed_object(
    {
        "id": {"type": "integer"},
        "tool": {"type": "string", "enum": ["read_file", "write"]},
        "depends_on": {"type": "array", "items": {"type": "integer"}},
        "expected_output": {"type": "string"},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    }
)
PLAN = dict(closed_object({"reasoning": {"type": "string"}, "steps": {"type": "array", "items": STEP}}))
SCORE = dict(closed_object({"score": {"type": "number", "minimum": 0, "maximum": 10}, "approved": {"type": "boolean"}}))
ONE = '{"id": 1, "tool": "read_file", "depends_on": [], "expected_output": "", "confidence": 1}'
TWO = ONE.replace("1,", "2,", 1)
BOTH = f"[{ONE}, {TWO}]"
WHOLE = f'{{"reasoning": "", "steps": {BOTH}}}'

PLANS = [
    WHOLE,
    f"```json\n{WHOLE}\n```",
    f"```\n{WHOLE}\n```\nGood luck!",
    f"Here you are: {WHOLE} That is [1] all.",
    f"\ufeff  {WHOLE}\n",
    f"json\n{WHOLE}",
    WHOLE.replace("}]}", "},]}"),
    WHOLE.replace('1}, {"id"', '1} {"id"'),
    WHOLE.replace('"', "'"),
    WHOLE.replace('"', "'").replace("[]", "None"),
    WHOLE.replace('""', "null"),
    WHOLE.replace("[]", "null"),
    WHOLE.replace('"confidence": 1', '"confidence": 1, "why": {"deep": []}'),
    WHOLE.replace('"reasoning": ""', '"reasoning": "two\nlines\tand a tab"'),
    WHOLE.replace('"reasoning": ""', '// first\n"reasoning": "" /* none */'),
    WHOLE.replace('"reasoning"', "reasoning"),
    WHOLE.replace('"id": 1', '"id": "1"').replace('"id": 2', '"id": 2.0'),
    WHOLE.replace('"confidence": 1', '"confidence": "100%"'),
    WHOLE.replace('"read_file"', '"Read_File"'),
    WHOLE.replace('"depends_on": []', '"depends_on": "[]"'),
    BOTH,
    f"The steps:\n{BOTH}",
    f'{{"plan": {WHOLE}}}',
    f'{{"answer": {BOTH}}}',
    f"<think>{ONE} {{</think>{WHOLE}",
    f"<output>{WHOLE}</output>",
    f"{WHOLE}\n{WHOLE}",
]


@pytest.mark.parametrize("text", PLANS)
async def test_a_plan_is_read_however_it_is_written(endpoint: Endpoint, text: str) -> None:
    endpoint.reply = lambda _: said(text)
    async with model_at(endpoint.base_url) as model:
        answer = await model.answer(asked(PLAN))
    assert isinstance(answer.value, dict)
    steps = answer.value["steps"]
    assert isinstance(steps, list)
    assert [(step["id"], step["confidence"], step["depends_on"]) for step in steps if isinstance(step, dict)] == [
        (1, 1, []),
        (2, 1, []),
    ]
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    "text",
    [
        *(WHOLE[:cut] for cut in range(1, len(WHOLE) - 1, 9)),
        *(f"```json\n{WHOLE[:cut]}" for cut in range(1, len(WHOLE) - 1, 41)),
        *(WHOLE.replace('"', "'")[:cut] for cut in range(1, len(WHOLE) - 1, 23)),
        BOTH[:-1],
        f"{BOTH[:-1]}\n```",
        f"{ONE}\n{TWO}",
        ONE,
        f"[{ONE}]\n[{TWO}]",
        f'{{"reasoning": "", "steps": [{ONE}]}} {{"reasoning": "", "steps": [{TWO}]}}',
        f"For example {WHOLE} and now {WHOLE[:-9]}",
        WHOLE.replace(TWO, "..."),
        WHOLE.replace(f", {TWO}", ", ..."),
        WHOLE.replace(f", {TWO}", " // and so on\n, …"),
        WHOLE.replace(f"{ONE}, ", ONE[:-1] + ", "),
        WHOLE.replace("]}", "}"),
        f"<think>{WHOLE}",
        "No plan today.",
        "",
    ],
)
async def test_a_plan_that_is_not_whole_is_asked_for_again_and_never_a_shorter_one(
    endpoint: Endpoint, text: str
) -> None:
    endpoint.reply = in_turn(said(text), said(WHOLE))
    async with model_at(endpoint.base_url) as model:
        answer = await model.answer(asked(PLAN))
    assert isinstance(answer.value, dict)
    assert len(str(answer.value["steps"]).split("'id'")) == 3
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("8", 8),
        ('"8"', 8),
        ('"8/10"', 8),
        ('"4/5"', 8),
        ('"8 out of 10"', 8),
        ('"80%"', 8),
        ('"8.5"', 8.5),
        ("8/10", 8),
        ("8.0", 8),
        ("+8", 8),
    ],
)
@pytest.mark.parametrize("truth", ["true", '"true"', "True", '"yes"'])
async def test_a_score_is_a_number_however_it_is_written(
    endpoint: Endpoint, written: str, meant: float, truth: str
) -> None:
    endpoint.reply = lambda _: said(f'{{"score": {written}, "approved": {truth}}}')
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(SCORE))).value == {"score": meant, "approved": True}


@pytest.mark.parametrize(
    "written", ["null", '"high"', "11", '"11/10"', '"8-9"', "NaN", "Infinity", "", '""', "[8]", '"-1"']
)
async def test_a_score_that_is_none_is_asked_for_again(endpoint: Endpoint, written: str) -> None:
    endpoint.reply = lambda _: said(f'{{"score": {written}, "approved": true}}')
    error = await failure(endpoint, SCORE)
    assert "no answer that fits the schema in 3 tries" in str(error)
    assert len(endpoint.asked) == 3


async def test_what_may_be_null_stays_null(endpoint: Endpoint) -> None:
    schema: dict[str, JSON] = dict(
        closed_object({"n": {"type": ["string", "null"]}, "m": {"anyOf": [{"type": "null"}]}})
    )
    endpoint.reply = lambda _: said('{"n": null, "m": null,}')
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(schema))).value == {"n": None, "m": None}
