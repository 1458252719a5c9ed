"""Addresses, headers and options as people write them, and what of them reaches the endpoint."""

import base64
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.endpoints.fake import KEY, TEXT, Endpoint, asked, failure, in_turn, model_at, refused, said

from forethought.address import read_address
from forethought.models import Models
from forethought.options import read_options
from forethought.settings import Settings
from forethought_tools import Question, Role, SettingsError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("http://h:1/v1", "http://h:1/v1"),
        ("http://h:1/v1///", "http://h:1/v1"),
        (" http://h:1/v1 ", "http://h:1/v1"),
        ("http://h:1", "http://h:1"),
        ("localhost:11434", "http://localhost:11434"),
        ("localhost:11434/v1/", "http://localhost:11434/v1"),
        ("127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("192.168.1.7:8000", "http://192.168.1.7:8000"),
        ("[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("gpu-box:8000/v1", "http://gpu-box:8000/v1"),
        ("nas.local/v1", "http://nas.local/v1"),
        ("//localhost:1/v1", "http://localhost:1/v1"),
        ("api.example.org/v1", "https://api.example.org/v1"),
        ("https://h/v1/chat/completions", "https://h/v1"),
        ("https://h/v1/chat/completions/", "https://h/v1"),
        ("https://h/v1/models", "https://h/v1"),
        ("https://h/v1/responses", "https://h/v1"),
        ("https://u:p@h/v1", "https://h/v1"),
        ("https://h/v1?a=b", "https://h/v1"),
        ("HTTPS://h/v1", "https://h/v1"),
        ("https://x.openai.azure.com?api-version=1", "https://x.openai.azure.com/openai/deployments/m"),
        ("https://x.openai.azure.com/openai?api-version=1", "https://x.openai.azure.com/openai/deployments/m"),
        (
            "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
            "https://x.openai.azure.com/openai/deployments/d",
        ),
        ("https://x.openai.azure.com", "https://x.openai.azure.com/openai/v1"),
        ("https://x.openai.azure.com/openai/v1/", "https://x.openai.azure.com/openai/v1"),
        ("", None),
        ("  ", None),
    ],
)
def test_an_address_is_read_as_it_is_meant(written: str, meant: str | None) -> None:
    assert read_address(written, model="m").url == meant


@pytest.mark.parametrize(
    "written", ["ftp://h/v1", "http://", "http:///v1", "http://h:x/v1", "http://h:99999", "a b", "http://u@v@h"]
)
def test_what_is_no_address_names_the_setting(written: str) -> None:
    with pytest.raises(SettingsError, match="FORETHOUGHT_BASE_URL: not an address"):
        Settings.read({"FORETHOUGHT_BASE_URL": written})


async def _heard(endpoint: Endpoint, base_url: str, **options: Any) -> tuple[str, Any]:
    endpoint.reply = lambda _: said("Hello.")
    async with model_at(base_url, **options) as model:
        await model.answer(asked(TEXT))
    return endpoint.paths[-1], endpoint.heads[-1]


@pytest.mark.anyio
async def test_a_query_stays_behind_the_path_and_azure_gets_its_key_in_its_own_header(endpoint: Endpoint) -> None:
    path, heads = await _heard(endpoint, f"{endpoint.base_url}/?api-version=2024-10-21&x=a%20b")
    assert path == "/v1/chat/completions?api-version=2024-10-21&x=a%20b" or path.endswith("x=a+b")
    assert heads["api-key"] == KEY


@pytest.mark.anyio
async def test_a_pasted_address_without_a_scheme_is_reached(endpoint: Endpoint) -> None:
    pasted = f"{endpoint.base_url.removeprefix('http://')}/chat/completions"
    path, heads = await _heard(endpoint, pasted)
    assert (path, heads["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")


@pytest.mark.anyio
async def test_a_user_and_a_password_are_sent_and_shown_nowhere(endpoint: Endpoint) -> None:
    address = endpoint.base_url.replace("://", "://me:pass%20word@")
    _, heads = await _heard(endpoint, address)
    assert heads["authorization"] == f"Basic {base64.b64encode(b'me:pass word').decode()}"
    endpoint.reply = lambda _: refused(f"who is {heads['authorization']} with pass word?", 401)
    async with model_at(address) as model:
        with pytest.raises(Exception, match="FORETHOUGHT_API_KEY") as caught:
            await model.answer(asked(TEXT))
    assert "pass word" not in str(caught.value)
    assert heads["authorization"].split()[1] not in str(caught.value)


@pytest.mark.anyio
async def test_an_address_without_a_path_is_tried_with_the_usual_one_and_that_is_remembered(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: (
        said("Hello.") if endpoint.paths[-1].startswith("/v1/") else refused("page not found", 404)
    )
    async with model_at(endpoint.base_url.removesuffix("/v1")) as model:
        for _ in range(2):
            assert (await model.answer(asked(TEXT))).value == "Hello."
    assert endpoint.paths == ["/chat/completions", "/v1/chat/completions", "/v1/chat/completions"]


@pytest.mark.anyio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_an_endpoint_that_has_moved_on_the_same_host_is_followed_once(endpoint: Endpoint, status: int) -> None:
    def reply(_: Any) -> Any:
        if endpoint.paths[-1].startswith("/v2"):
            return said("Hello.")
        return status, {}

    endpoint.reply = reply
    endpoint.headers["Location"] = "/v2/chat/completions"
    async with model_at(endpoint.base_url) as model:
        for _ in range(2):
            assert (await model.answer(asked(TEXT))).value == "Hello."
    assert len(endpoint.paths) == 3
    assert endpoint.asked[-1]["messages"], "what is asked goes along"


@pytest.mark.anyio
async def test_nobody_else_is_shown_a_question_or_a_key(endpoint: Endpoint) -> None:
    endpoint.reply = lambda _: (307, {})
    endpoint.headers["Location"] = "http://elsewhere.example:1/v1/chat/completions"
    assert "Set FORETHOUGHT_BASE_URL to where it is now: http://elsewhere.example:1/v1" in str(await failure(endpoint))
    assert len(endpoint.asked) == 1


def test_options_are_read_as_an_object_or_as_pairs() -> None:
    key = "FORETHOUGHT_MODEL_OPTIONS"
    pairs = read_options("reasoning_effort=low, seed=7,temperature=0.5", key)
    assert pairs.body == {"reasoning_effort": "low", "seed": 7, "temperature": 0.5}
    whole = read_options('{"headers": {"X-A": "b"}, "extra_body": {"top_k": 3}, "timeout": 30, "seed": 1}', key)
    assert (whole.body, whole.headers, whole.timeout) == ({"seed": 1, "top_k": 3}, {"X-A": "b"}, 30)
    assert read_options("", key).body == {}


@pytest.mark.parametrize(
    "text",
    [
        "low",
        "{",
        "[1]",
        '{"headers": "X: y"}',
        '{"headers": {"a b": "c"}}',
        '{"headers": {"A": "secret\\nX: 1"}}',
        '{"timeout": 0}',
        '{"timeout": "soon"}',
        '{"messages": []}',
        "model=other",
        '{"extra_body": 3}',
        "a=1,b",
    ],
)
def test_options_that_cannot_be_used_name_their_setting(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^FORETHOUGHT_MODEL_OPTIONS_PLANNER: ") as caught:
        Settings.read({"FORETHOUGHT_MODEL_OPTIONS_PLANNER": text})
    assert "secret" not in str(caught.value)


@pytest.mark.anyio
async def test_options_go_with_every_question_and_those_of_a_role_win(
    endpoint: Endpoint, make_settings: Callable[..., Settings]
) -> None:
    endpoint.reply = lambda _: said("Hello.")
    settings = make_settings(
        model="m",
        base_url=endpoint.base_url,
        model_options=read_options('{"headers": {"X-Team": "a"}, "reasoning_effort": "low", "seed": 1}', "k"),
        role_options={Role.PLANNER: read_options("reasoning_effort=high", "k")},
    )
    models = Models(settings)
    for role in (Role.PLANNER, Role.CRITIC, Role.JOINER):
        model = models.for_role(role)
        assert model is not None
        await model.answer(Question(role, "", "", TEXT))
    assert models.for_role(Role.CRITIC) is models.for_role(Role.JOINER), "what is refused is learnt once"
    await models.aclose()
    assert [body["reasoning_effort"] for body in endpoint.asked] == ["high", "low", "low"]
    assert {(body["seed"], heads["x-team"]) for body, heads in zip(endpoint.asked, endpoint.heads, strict=True)} == {
        (1, "a")
    }


def test_what_may_be_a_key_in_headers_options_and_addresses_is_a_secret() -> None:
    settings = Settings.read(
        {
            "FORETHOUGHT_MODEL_OPTIONS": '{"headers": {"X-Team": "planning", "X-Api": "abcdefgh1",'
            ' "Authorization": "Bearer abcdefgh2",'
            ' "HTTP-Referer": "https://example.org"}, "extra_body": {"a": {"api_key": "abcdefgh3"}}}',
            "FORETHOUGHT_MODEL_OPTIONS_CRITIC": '{"headers": {"Cookie": "abcdefgh4"}}',
            "FORETHOUGHT_BASE_URL": "me:abcdefgh5@gpu-box/v1?key=abcdefgh6&api-version=2024-10-21",
        }
    )
    assert {f"abcdefgh{number}" for number in range(1, 7)} <= settings.secrets
    assert not {"https://example.org", "2024-10-21", "planning"} & settings.secrets
    assert "abcdefgh" not in repr(settings)


@pytest.mark.anyio
async def test_no_error_repeats_a_header(endpoint: Endpoint) -> None:
    endpoint.reply = in_turn(refused("bad token tok-12345678 in X-Auth", 401))
    error = await failure(endpoint, options=read_options('{"headers": {"X-Auth": "Token tok-12345678"}}', "k"))
    assert "tok-12345678" not in str(error)
    assert urlsplit(endpoint.base_url).netloc in str(error)
