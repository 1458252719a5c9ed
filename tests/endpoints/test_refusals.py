"""What an endpoint refuses is learnt from what its error names, done otherwise, and never tried again."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import pytest
from tests.endpoints.fake import LOOSE, STRICT, TEXT, Body, Endpoint, Reply, asked, failure, model_at, refused, said

from forethought.models import Models
from forethought.options import ModelOptions
from forethought.settings import Settings
from forethought_patterns import Charge, Usage
from forethought_tools import JSON, Question, Role

pytestmark = pytest.mark.anyio

LIMITED = ModelOptions({"max_completion_tokens": 700})
WARM = ModelOptions({"temperature": 0.5})


def _without(*names: str) -> Callable[[Body], bool]:
    return lambda body: not any(name in body for name in names)


def _no_system(body: Body) -> bool:
    return bool(body["messages"][0]["role"] == "user")


def _form(*kinds: str) -> Callable[[Body], bool]:
    return lambda body: body.get("response_format", {"type": "text"})["type"] in kinds


PYDANTIC = {"detail": [{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs"}]}

# What the endpoint can do; how it says that it cannot do more; what is sent; how many requests that costs once.
REFUSALS: list[tuple[Callable[[Body], bool], Reply, ModelOptions, int]] = [
    (_without("max_completion_tokens"), refused("Unknown name 'maxCompletionTokens'"), LIMITED, 2),
    (_without("max_completion_tokens"), (422, PYDANTIC), LIMITED, 2),
    (_without("max_completion_tokens"), (400, {"message": "unrecognised field max_completion_tokens"}), LIMITED, 2),
    (_without("max_tokens"), refused("Use max_completion_tokens, not max_tokens"), ModelOptions({"max_tokens": 9}), 2),
    (_without("max_completion_tokens", "max_tokens"), refused("no max_completion_tokens or max_tokens"), LIMITED, 3),
    (_without("temperature"), refused("Only the default is supported", param="temperature"), WARM, 2),
    (_without("temperature"), refused("temperature is deprecated", 501), WARM, 2),
    (_without("seed"), refused("Extra inputs are not permitted: seed", 500), ModelOptions({"seed": 1}), 2),
    (_without("reasoning_effort"), refused("reasoning effort"), ModelOptions({"reasoning_effort": "low"}), 2),
    (_without("reasoning"), refused("reasoning.effort: no"), ModelOptions({"reasoning": {"effort": "low"}}), 2),
    (
        _without("temperature", "seed"),
        refused("bad: seed, temperature"),
        ModelOptions({"temperature": 0, "seed": 1}),
        2,
    ),
    (_no_system, refused("System role not supported"), ModelOptions(), 2),
    (_no_system, refused("Jinja Exception: Conversation roles must alternate user/assistant", 500), ModelOptions(), 2),
    (_no_system, refused("Developer instruction is not enabled for this model"), ModelOptions(), 2),
    (_no_system, refused("Unsupported value", param="messages[0].role"), ModelOptions(), 2),
    (_no_system, (200, {"error": {"message": "unknown variant `system`", "code": 400}}), ModelOptions(), 2),
]


@pytest.mark.parametrize("way", ["complete", "structured", "streamed"])
@pytest.mark.parametrize(("able", "refusal", "options", "requests"), REFUSALS)
async def test_what_is_refused_is_done_otherwise_and_remembered(
    endpoint: Endpoint,
    able: Callable[[Body], bool],
    refusal: Reply,
    options: ModelOptions,
    requests: int,
    way: str,
) -> None:
    endpoint.reply = lambda body: said('{"n": 1}') if able(body) else refusal
    schema, heard = (TEXT, None) if way == "complete" else (STRICT, list[str | None]().append)
    async with model_at(endpoint.base_url, options=options) as model:
        for _ in range(2):
            answer = await model.answer(asked(schema), heard=heard if way == "streamed" else None)
            assert answer.value == ('{"n": 1}' if schema is TEXT else {"n": 1})
    assert len(endpoint.asked) == requests + 1
    told = json.dumps(endpoint.asked[-1]["messages"])
    assert "The instructions." in told, "nothing that was to be said is lost"
    assert "The context." in told


@pytest.mark.parametrize("status", [400, 404, 415, 422, 500, 501])
@pytest.mark.parametrize("words", ["response_format is not supported", "'json_schema' is unknown", "nothing like that"])
async def test_a_form_that_is_refused_with_any_status_is_wanted_otherwise(
    endpoint: Endpoint, status: int, words: str
) -> None:
    endpoint.reply = lambda body: said('{"n": 1}') if _form("text")(body) else refused(words, status)
    async with model_at(endpoint.base_url) as model:
        for _ in range(2):
            assert (await model.answer(asked(STRICT))).value == {"n": 1}
    assert endpoint.forms()[-2:] == ["text", "text"]
    assert len(endpoint.asked) <= 6


async def test_an_endpoint_that_takes_nothing_but_what_the_user_says_is_served(endpoint: Endpoint) -> None:
    bare = {"model", "messages"}
    endpoint.reply = lambda body: said('{"n": 1}') if set(body) == bare and _no_system(body) else refused("Bad Request")
    async with model_at(endpoint.base_url, options=WARM) as model:
        heard = list[str | None]()
        for _ in range(2):
            assert (await model.answer(asked(LOOSE), heard=heard.append)).value == {"n": 1}
    assert len(endpoint.asked) <= 6


class Bounded:
    """A meter that lets answers have so many tokens."""

    @asynccontextmanager
    async def request(self, input_tokens: int) -> AsyncGenerator[Charge]:
        yield Charge(700, lambda _: None)


async def test_with_a_budget_the_limit_is_sent_in_the_words_that_the_endpoint_knows(endpoint: Endpoint) -> None:
    def reply(body: Body) -> Reply:
        return refused("Unsupported: max_completion_tokens") if "max_completion_tokens" in body else said('{"n": 1}')

    endpoint.reply = reply
    async with model_at(endpoint.base_url) as model:
        for schema in (STRICT, TEXT):
            await model.answer(asked(schema), meter=Bounded())
    assert [body.get("max_tokens") for body in endpoint.asked] == [None, 700, 700]
    assert endpoint.forms() == ["strict", "strict", "text"], "nothing else is given up"


@pytest.mark.parametrize(("status", "requests"), [(401, 1), (402, 1), (403, 1), (429, 1)])
async def test_what_no_other_words_would_mend_is_not_asked_again(
    endpoint: Endpoint, status: int, requests: int
) -> None:
    endpoint.reply = lambda _: refused("this key is not for json_schema", status)
    await failure(endpoint, STRICT, retries=0)
    assert len(endpoint.asked) == requests or status == 403


async def test_a_model_that_is_not_there_is_asked_for_once(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: refused("model 'm' not found", 404)
    assert "FORETHOUGHT_MODEL" in str(await failure(endpoint, STRICT))
    assert len(endpoint.asked) == 1


async def test_a_refusal_is_not_retried_though_its_status_says_that_it_might_pass(endpoint: Endpoint) -> None:
    endpoint.reply = lambda body: said('{"n": 1}') if _no_system(body) else refused("no system role here", 500)
    async with model_at(endpoint.base_url) as model:
        await model.answer(asked(STRICT))
    assert len(endpoint.asked) == 2


async def test_an_endpoint_that_refuses_everything_is_asked_a_bounded_number_of_times(endpoint: Endpoint) -> None:
    endpoint.reply = lambda body: refused(f"not supported: {', '.join(body)}, system role")
    error = await failure(endpoint, STRICT, options=ModelOptions({"seed": 1, "top_k": 2}))
    assert "refused the question" in str(error)
    assert len(endpoint.asked) <= 8


async def test_what_has_been_spent_is_counted_once_though_it_was_refused_before(endpoint: Endpoint) -> None:
    endpoint.reply = lambda body: said("Hello.") if _no_system(body) else refused("no system")
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(TEXT))).usage == Usage(1, 10, 5)


async def test_a_schema_with_the_words_of_an_error_blames_nothing_else(endpoint: Endpoint) -> None:
    schema: dict[str, JSON] = {**STRICT, "properties": {"n": {"type": "integer", "description": "a role, a seed"}}}
    endpoint.reply = lambda body: said('{"n": 1}') if _form("text")(body) else refused("Invalid schema: n")
    async with model_at(endpoint.base_url) as model:
        await model.answer(asked(schema))
    assert endpoint.asked[-1]["messages"][0]["role"] == "system"


async def _by_roles(models: Models, *roles: Role) -> None:
    for role in roles:
        model = models.for_role(role)
        assert model is not None
        assert (await model.answer(Question(role, "", "", STRICT))).value == {"n": 1}
    await models.aclose()


async def test_what_one_role_has_learnt_of_an_endpoint_every_role_knows_for_as_long_as_the_process_lives(
    endpoint: Endpoint, make_settings: Callable[..., Settings]
) -> None:
    endpoint.reply = lambda body: said('{"n": 1}') if _no_system(body) else refused("System role not supported")
    settings = make_settings(
        model="m", base_url=endpoint.base_url, role_options={Role.PLANNER: ModelOptions({"seed": 1})}
    )
    models = Models(settings)
    for _ in range(2):  # closed in between: connections end, what was learnt stays
        await _by_roles(models, Role.PLANNER, Role.CRITIC)
    assert [body["messages"][0]["role"] for body in endpoint.asked] == ["system", "user", "user", "user", "user"]


async def test_that_one_value_of_an_option_is_refused_takes_no_other_value_from_another_role(
    endpoint: Endpoint, make_settings: Callable[..., Settings]
) -> None:
    endpoint.reply = lambda body: (
        refused("reasoning_effort: unsupported value") if body.get("reasoning_effort") == "least" else said('{"n": 1}')
    )
    settings = make_settings(
        model="m",
        base_url=endpoint.base_url,
        model_options=ModelOptions({"reasoning_effort": "low"}),
        role_options={Role.PLANNER: ModelOptions({"reasoning_effort": "least"})},
    )
    await _by_roles(Models(settings), Role.CRITIC, Role.PLANNER, Role.PLANNER, Role.CRITIC)
    assert [body.get("reasoning_effort") for body in endpoint.asked] == ["low", "least", None, None, "low"]


async def test_a_refusal_that_names_its_cause_is_not_repeated_in_the_same_words(endpoint: Endpoint) -> None:
    endpoint.reply = lambda body: (
        said('{"n": 1}') if _form("text")(body) else refused("response_format is not supported", 409)
    )
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(STRICT))).value == {"n": 1}
    assert endpoint.forms() == ["strict", "schema", "json_object", "text"]
