"""Which clients are tried: those of CI, or all."""

import pytest
from tests.clients.clients import CLIENTS, Client

_NOT_YET = {
    "LangChain": "results hold a resource link, which its chat models take for a file",
    "AutoGen": "results hold a resource link, which it takes for an error",
    "Vercel AI SDK": "the discovery that it gives up waiting for forbids the initialization that follows",
    "fastmcp": "optional fields of a form have no default, so they become null, which the form's schema refuses",
    "mcp-use": "what may be left out comes as null, which is refused",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-clients", action="store_true", help="try every client, not only those of CI")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes a client each one in turn."""
    if "client" in metafunc.fixturenames:
        chosen = [each for each in CLIENTS if each.always or metafunc.config.getoption("--all-clients", default=False)]
        metafunc.parametrize("client", [_param(each) for each in chosen])


def _param(client: Client) -> object:
    reason = _NOT_YET.get(client.name)
    marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
    return pytest.param(client, id=client.name, marks=marks)
