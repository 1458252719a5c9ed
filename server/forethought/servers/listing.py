"""What a server offers, asked for page by page: its tools, its resources, and templates of their addresses."""

__all__ = ["resources_listed", "tools_listed"]

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from forethought.servers.pins import Said
from forethought_tools.text import clipped

if TYPE_CHECKING:
    from mcp.client import Client
    from mcp.types import Tool

_PAGES = 20
_FEW = 30  # resources that planners are told of
_ALL = 1000
_LONG = 300  # characters of an address


class _Page(Protocol):
    @property
    def next_cursor(self) -> str | None: ...


P = TypeVar("P", bound=_Page)


async def tools_listed(client: "Client") -> Mapping[str, "Tool"]:
    """The tools of a server, by their own names."""
    if not client.server_capabilities.tools:
        return {}
    found: dict[str, Tool] = {}
    for page in await _pages(lambda cursor: client.list_tools(cursor=cursor)):
        for tool in page.tools:
            if tool.name:
                found.setdefault(tool.name, tool)
    return found


async def resources_listed(client: "Client") -> Said | None:
    """The addresses of a server's resources, and what planners are told of them; none where it has none."""
    from mcp.shared.exceptions import MCPError

    if not client.server_capabilities.resources:
        return None
    found: list[str] = []
    try:
        for page in await _pages(lambda cursor: client.list_resources(cursor=cursor)):
            found += [str(resource.uri) for resource in page.resources]
        for templates in await _pages(lambda cursor: client.list_resource_templates(cursor=cursor)):
            found += [template.uri_template for template in templates.resource_templates]
    except MCPError:  # many know no templates, and some have nothing to list
        pass
    told = [clipped(address, _LONG) for address in found[:_ALL]]
    more = f" and {len(found) - _FEW} more" if len(found) > _FEW else ""
    return {"description": f"Some are: {', '.join(told[:_FEW])}{more}" if told else "", "resources": told}


async def _pages(ask: Callable[[str | None], Awaitable[P]]) -> list[P]:
    pages = [await ask(None)]
    while (cursor := pages[-1].next_cursor) and len(pages) < _PAGES:
        pages.append(await ask(cursor))
    return pages
