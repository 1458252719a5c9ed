"""Which clients are tried: those of CI, or all."""

import pytest
from tests.clients.clients import CLIENTS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-clients", action="store_true", help="try every client, not only those of CI")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that takes a client each one in turn."""
    if "client" in metafunc.fixturenames:
        chosen = [each for each in CLIENTS if each.always or metafunc.config.getoption("--all-clients", default=False)]
        metafunc.parametrize("client", chosen, ids=lambda client: client.name)
