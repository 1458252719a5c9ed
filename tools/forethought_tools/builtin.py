"""Every built-in tool, wired to what it may touch."""

__all__ = ["builtin"]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from forethought_tools.arithmetic import arithmetic_tools
from forethought_tools.comparing import comparing_tools
from forethought_tools.delegating import SECONDS, delegating_tool
from forethought_tools.editing import editing_tools
from forethought_tools.files import file_tools
from forethought_tools.folders import Folders
from forethought_tools.inherited import is_inherited
from forethought_tools.mail import Mailbox, mail_tools
from forethought_tools.moving import moving_tools
from forethought_tools.registry import Registry
from forethought_tools.risk import Risk
from forethought_tools.shell import shell_tools
from forethought_tools.table_files import table_writer
from forethought_tools.tables import table_tools
from forethought_tools.templates import template_tool
from forethought_tools.tool import Tool
from forethought_tools.undo import Vault
from forethought_tools.web import web_tools
from forethought_tools.words import word_tools

_PATH = frozenset({"path"})
_PATHS = {
    **dict.fromkeys(
        ("read_file", "write_file", "delete_file", "edit_file", "append_file", "write_table", "make_folder"), _PATH
    ),
    **dict.fromkeys(("copy_file", "move_file"), frozenset({"source", "destination"})),
}
"""The arguments of tools that are paths, for rules."""


def builtin(
    folders: Folders,
    *,
    mailbox: Mailbox | None = None,
    searxng_url: str | None = None,
    allow_private: bool = False,
    hidden_variables: frozenset[str] = frozenset(),
    shown_variables: Sequence[str] = (),
    risks: Mapping[str, Risk] | None = None,
    vault: Vault | None = None,
    redact: Callable[[str], str] | None = None,
    agent_seconds: float = SECONDS,
) -> Registry:
    """The built-in tools, those that only read first: a planner prefers what it reads first.

    With a vault, what they write can be undone. Commands see no environment variable that is hidden, and of those that
    look like secrets only what is shown.
    """
    told = partial(is_inherited, hidden=hidden_variables, shown=shown_variables, redact=redact)
    read_file, list_files, search_files, write_file, delete_file = file_tools(folders, vault)
    return Registry(
        (
            _read(each, folders)
            for each in (
                read_file,
                list_files,
                search_files,
                *table_tools(folders),
                *arithmetic_tools(),
                *comparing_tools(folders),
                template_tool(),
                *web_tools(searxng_url=searxng_url, allow_private=allow_private),
                *word_tools(),
                write_file,
                table_writer(folders, vault),
                *editing_tools(folders, vault),
                *moving_tools(folders, vault),
                delete_file,
                *shell_tools(folders, told),
                *mail_tools(mailbox),
                delegating_tool(folders, vault, seconds=agent_seconds),
            )
        ),
        risks,
        redact,
    )


def _read(tool: Tool, folders: Folders) -> Tool:
    """The tool, with how rules read its arguments."""
    if tool.name == "run_command":
        return replace(
            tool,
            commands=frozenset({"command"}),
            paths=frozenset({"folder"}),
            harmless=frozenset({"timeout"}),
            leads=folders.called,
        )
    return replace(tool, paths=_PATHS[tool.name], leads=folders.called) if tool.name in _PATHS else tool
