"""`forethought serve`: what MCP clients start."""

__all__ = ["serve"]

from forethought.cli.keeper import leave
from forethought.settings import Settings
from forethought.surface.server import build_server


def serve(settings: Settings) -> int:
    """Serve MCP on standard input and output until the client closes them."""
    build_server(settings, leaving=leave).run("stdio")
    return 0
