"""`forethought serve`: what MCP clients start."""

__all__ = ["serve"]

import gc
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from forethought.cli import innermost, is_terminal

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from forethought.settings import Settings

_FOR_A_PERSON = """forethought serve is what an MCP client starts: it waits for the messages of one.
In a terminal you want: forethought run "GOAL". How a client starts this is told in the README.
Ctrl-C ends it."""
logger = logging.getLogger(__name__)


def serve(read: Callable[[], "Settings"], wrong: str = "") -> int:
    """Serve MCP on standard input and output until the client closes them. The settings are read behind the first
    answers. What is wrong with them, or was `wrong` with the options, ends the server only in a terminal: clients are
    told in each answer.

    Raises:
        ForethoughtError: it cannot work, and this is a terminal.
    """
    gc.disable()  # what is loaded now stays: to look for garbage in it takes a tenth of the start
    import anyio

    from forethought.surface.front import Front

    front = Front(lambda: _whole(read, wrong), told=_told)
    gc.enable()
    if is_terminal():
        from forethought.cli.terminal import errors

        _try(read)
        # A person who looks at a silent program should know what it waits for.
        errors.print(_FOR_A_PERSON, soft_wrap=True)
    anyio.run(front.serve)
    return 0


def _whole(read: Callable[[], "Settings"], wrong: str = "") -> "Server[Any]":
    """The whole server, if all is there that it is to work with."""
    from forethought.cli.keeper import leave
    from forethought.models import Models
    from forethought.surface.server import build_server
    from forethought_tools import Role, SettingsError

    if wrong:
        raise SettingsError(f"forethought serve: {wrong}. Mend the arguments with which the client starts it.")
    settings = read()
    models = Models(settings)
    if missing := [why for why in dict.fromkeys(map(models.missing, Role)) if why]:
        raise SettingsError("\n".join(missing))
    return build_server(settings, leaving=leave)._lowlevel_server  # pyright: ignore[reportPrivateUsage] - there is no public way yet


def _try(read: Callable[[], "Settings"]) -> None:
    from forethought.app import open_store

    _whole(read)
    open_store(read()).close()


def _told(error: Exception) -> str:
    """What is wrong, for a client, and so for whoever reads what a model is told: no place that nobody has named."""
    from platformdirs import user_data_path

    from forethought_tools import ForethoughtError
    from forethought_tools.visible import harmless

    cause = innermost(error)
    if isinstance(cause, OSError):
        where = f": {cause.filename}" if cause.filename else ""
        text = f"{cause.strerror or type(cause).__name__}{where}. Mend that, or set FORETHOUGHT_HOME to another folder."
    elif isinstance(cause, ImportError):
        text = f"{cause.name or 'Something'} that forethought needs cannot be loaded. Its installation is not whole."
    elif isinstance(cause, ForethoughtError):
        text = str(cause)
    else:
        logger.error("it cannot be opened", exc_info=error)
        text = f"Internal error: {type(cause).__name__}. The log has more; so may `forethought doctor` in a terminal."
    if not os.environ.get("FORETHOUGHT_HOME"):
        text = text.replace(str(user_data_path("forethought", appauthor=False)), "FORETHOUGHT_HOME")
    return harmless(text)  # a variable may hold what no answer could
