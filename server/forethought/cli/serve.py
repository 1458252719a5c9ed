"""`forethought serve`: what MCP clients start."""

__all__ = ["serve"]

import sys

from forethought.cli.keeper import leave
from forethought.settings import Settings
from forethought.surface.server import build_server

_FOR_A_PERSON = """forethought serve is what an MCP client starts: it waits for the messages of one.
In a terminal you want: forethought run "GOAL". How a client starts this is told in the README.
Ctrl-C ends it."""


def serve(settings: Settings) -> int:
    """Serve MCP on standard input and output until the client closes them."""
    if sys.stdin.isatty():
        # A person who looks at a silent program should know what it waits for.
        from forethought.cli.terminal import errors  # here, since a client waits for the server to start

        errors.print(_FOR_A_PERSON, soft_wrap=True)
    build_server(settings, leaving=leave).run("stdio")
    return 0
