"""Built in: a piece of work for an agent with tools. Who plays the agent, and how, the run decides: see the patterns'
`agent`. Here is what such a call looks like, what it claims, and how what its agent writes is taken back.
"""

__all__ = ["DELEGATE", "AgentUndo", "delegating_tool", "may_call", "may_write"]

from collections.abc import Mapping, Sequence
from os.path import normpath
from pathlib import PurePath

from forethought_tools.claims import Claim
from forethought_tools.errors import ToolError
from forethought_tools.folders import Folders
from forethought_tools.risk import Risk
from forethought_tools.tool import JSON, Answerer, Kept, Limits, Stands, Tool
from forethought_tools.undo import ANYTHING, FileUndo, Vault

DELEGATE = "delegate"
SECONDS = 600.0
_MOST = 50
_TASK: JSON = {"type": "string", "minLength": 1, "maxLength": 4000, "description": "For one who knows nothing else"}
_MATERIAL: JSON = {"description": "What to work with, such as {{1}}"}
_TOOLS: JSON = {"type": "array", "items": {"type": "string"}, "maxItems": _MOST, "description": "Else those that read"}
_WRITES: JSON = {"type": "array", "items": {"type": "string"}, "maxItems": _MOST, "description": "Paths it may write"}
_PARAMETERS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"task": _TASK, "material": _MATERIAL, "tools": _TOOLS, "writes": _WRITES},
    "required": ["task"],
    "additionalProperties": False,
}


def may_call(arguments: Mapping[str, JSON]) -> Sequence[str]:
    """The tools that a call of `delegate` names for its agent; nothing where it leaves that open."""
    return _texts(arguments.get("tools"))


def may_write(arguments: Mapping[str, JSON]) -> Sequence[str]:
    """The paths that the agent of a call of `delegate` may write; nothing where it does not say."""
    return _texts(arguments.get("writes"))


def _texts(value: JSON) -> Sequence[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list | tuple) else []


def delegating_tool(folders: Folders, vault: Vault | None = None, *, seconds: float = SECONDS) -> Tool:
    """`delegate`. A model of ours may work on it for so many seconds."""

    def writes(arguments: Mapping[str, JSON]) -> Claim:
        return Claim(writes=frozenset(place for path in may_write(arguments) for place in _places(folders, path)))

    return Tool(
        name=DELEGATE,
        description="Have an agent with tools do what one call cannot. Returns what it reports.",
        parameters=_PARAMETERS,
        run=_alone,
        risk=Risk.LOW,  # what its agent calls is judged call by call
        repeatable=True,  # over what is recorded: what its agent has done is not done again
        limits=Limits(timeout=seconds),
        trusted=True,
        asks=True,  # a model has worded its result, whoever plays the agent
        undo=AgentUndo(folders, vault) if vault else None,
        claims=writes,
    )


async def _alone(_: Mapping[str, JSON], __: Answerer) -> JSON:
    raise ToolError("delegate is a step of a plan: nothing else can call it. Call the tools themselves.")


def _places(folders: Folders, path: str) -> frozenset[tuple[str, ...]]:
    """Where a path is. Outside of the granted folders two calls still do not write the same at once."""
    return folders.parts(path) or frozenset({("", *PurePath(normpath(path)).parts)})


class AgentUndo(FileUndo):
    """Takes back what an agent has written where it said that it would. Each path is kept by itself, as the only one
    of a call; what the agent will leave there nobody knows before."""

    def __init__(self, folders: Folders, vault: Vault) -> None:
        super().__init__(folders, vault, lambda _: ANYTHING, lambda arguments: may_write(arguments)[0])

    def keeps(self, arguments: Mapping[str, JSON]) -> bool:
        return all(super(AgentUndo, self).keeps({"writes": [path]}) for path in may_write(arguments))

    def touches(self, kept: Kept) -> Claim:
        return super().touches(kept) if "real" in kept else Claim()

    def described(self, kept: Kept) -> str:
        return super().described(kept) if "real" in kept else f"leave {kept['path']}: {kept['why']}"

    def _before(self, arguments: Mapping[str, JSON]) -> Kept:
        path = may_write(arguments)[0]
        try:
            return super()._before(arguments)
        except ToolError as error:  # a folder, or outside of what is granted: its agent may write there all the same
            return {"path": path, "content": None, "why": f"nothing of it was kept ({error})"}

    def _stands(self, kept: Kept) -> Stands:
        return super()._stands(kept) if "real" in kept else "as before"

    def _back(self, kept: Kept) -> None:
        if "real" in kept:
            super()._back(kept)
