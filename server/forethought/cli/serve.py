"""`forethought serve`: what MCP clients start."""

__all__ = ["serve"]

from collections.abc import Collection
from functools import partial

from forethought.app import App
from forethought.cli.commands import secret_variables
from forethought.settings import Settings
from forethought.surface.server import build_server


def serve(settings: Settings) -> int:
    """Serve MCP on standard input and output until the client closes them."""
    build_server(settings, leaving=partial(_leave, secret_variables(settings.secrets))).run("stdio")
    return 0


def _leave(secret: Collection[str], app: App) -> None:
    from forethought.cli.keeper import leave  # here, because most servers leave nothing behind

    leave(app, secret)
