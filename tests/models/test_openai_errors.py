"""What goes wrong with an endpoint says what to do, and never shows the key."""

import pytest
from tests.endpoints.fake import KEY, STRICT, TEXT, Endpoint, Reply, asked, failure, in_turn, model_at, refused, said

from forethought.models.openai import OpenAIModel
from forethought_tools import ModelError


@pytest.mark.anyio
async def test_an_answer_that_was_cut_off_says_what_to_do(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said('{"n": 1', finish="length"))
    assert "cut off after 5 tokens. Ask for less" in str(await failure(endpoint, STRICT))


@pytest.mark.anyio
async def test_a_refusal_and_a_filter_are_errors(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said(None, refusal="I will not."), said("", finish="content_filter"))
    assert "refused to answer: I will not." in str(await failure(endpoint))
    assert "filter" in str(await failure(endpoint))


@pytest.mark.anyio
async def test_busy_and_broken_endpoints_are_asked_again(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(refused("slow down", 429), refused("oops", 503), said("Hello."))
    async with model_at(endpoint.base_url) as model:
        assert (await model.answer(asked(TEXT))).value == "Hello."


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "setting", "transient"),
    [
        (refused(f"Incorrect API key provided: {KEY}", 401), "FORETHOUGHT_API_KEY", False),
        (refused("not for you", 403), "FORETHOUGHT_API_KEY", False),
        (refused("no such model", 404), "FORETHOUGHT_MODEL", False),
        (refused("slow down", 429), "FORETHOUGHT_API_KEY", True),
        (refused("pay first", 429, code="insufficient_quota"), "FORETHOUGHT_API_KEY", False),
        (refused("oops", 500), "FORETHOUGHT_BASE_URL", True),
        ((200, "<html>A web page</html>"), "FORETHOUGHT_BASE_URL", False),
        ((200, {"error": "gateway"}), "FORETHOUGHT_BASE_URL", False),
    ],
)
async def test_errors_name_the_setting_and_never_hold_the_key(
    endpoint: Endpoint, reply: Reply, setting: str, transient: bool
) -> None:
    endpoint.reply = lambda _: reply
    error = await failure(endpoint, retries=0)
    assert setting in str(error)
    assert error.transient == transient


@pytest.mark.anyio
async def test_an_endpoint_that_hangs_is_a_transient_error(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: said("late") if endpoint.released.wait() else refused("")
    error = await failure(endpoint, timeout=0.2, retries=0)
    assert "did not answer in time" in str(error)
    assert error.transient


@pytest.mark.anyio
async def test_an_endpoint_that_is_not_there_names_its_address_without_a_password() -> None:
    async with model_at("http://someone:hidden@127.0.0.1:1/v1", retries=0) as model:
        with pytest.raises(ModelError, match=r"at http://127\.0\.0\.1:1/v1 cannot .*FORETHOUGHT_BASE_URL") as caught:
            await model.answer(asked(TEXT))
    assert "hidden" not in str(caught.value)
    assert caught.value.transient


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-one\u2026"])
async def test_a_key_that_cannot_be_sent_is_not_repeated(key: str) -> None:
    model = OpenAIModel(model="m", base_url="http://127.0.0.1:1/v1", api_key=key, retries=0)
    with pytest.raises(ModelError, match="FORETHOUGHT_API_KEY holds characters") as caught:
        await model.answer(asked(TEXT))
    assert "sk-one" not in str(caught.value)


@pytest.mark.anyio
async def test_a_line_end_after_the_key_does_no_harm(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(said("Hello."))
    model = OpenAIModel(model="m", base_url=endpoint.base_url, api_key=f"{KEY}\n")
    assert (await model.answer(asked(TEXT))).value == "Hello."
    await model.aclose()
