"""What the conformance suite asks for by name: every kind of content, as tools, resources and prompts of a server.

The names, texts and values are the suite's: it says of each scenario what it wants to find.
"""

import base64
from typing import Annotated, Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    AudioContent,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    SetLevelRequestParams,
    TextContent,
    TextResourceContents,
)
from pydantic import Field

NEEDED = "The conformance suite needs it."
_IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
_SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def add_contents(server: MCPServer[Any]) -> None:
    """Give a server what returns something."""
    _add_tools(server)
    _add_telling_tools(server)
    _add_resources(server)
    _add_prompts(server)


def _add_tools(server: MCPServer[Any]) -> None:
    @server.tool(description=NEEDED, structured_output=False)
    def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @server.tool(description=NEEDED, structured_output=False)
    def test_image_content() -> ImageContent:
        return _image()

    @server.tool(description=NEEDED, structured_output=False)
    def test_audio_content() -> AudioContent:
        return AudioContent(type="audio", data=_SOUND, mime_type="audio/wav")

    @server.tool(description=NEEDED, structured_output=False)
    def test_embedded_resource() -> EmbeddedResource:
        return _embedded("test://embedded-resource", "This is an embedded resource content.")

    @server.tool(description=NEEDED, structured_output=False)
    def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        text = TextContent(type="text", text="Multiple content types test:")
        data = _embedded("test://mixed-content-resource", '{"test": "data", "value": 123}', "application/json")
        return [text, _image(), data]

    @server.tool(description=NEEDED, structured_output=False)
    def test_error_handling() -> str:
        raise RuntimeError("This tool intentionally returns an error for testing")

    @server.tool(description=NEEDED, structured_output=False)
    def test_custom_header(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
        return region

    def json_schema_2020_12_tool() -> str:
        return "ok"

    # What a server of functions is made of has no other way to say a schema as it stands.
    manager = server._tool_manager  # pyright: ignore[reportPrivateUsage]
    manager.add_tool(json_schema_2020_12_tool, description=NEEDED, structured_output=False).parameters = _SCHEMA


def _add_telling_tools(server: MCPServer[Any]) -> None:
    async def set_level(ctx: Any, params: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    # There is no public way: the SDK leaves out what the newer revision has dropped.
    low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)

    @server.tool(description=NEEDED, structured_output=False)
    async def test_tool_with_logging(ctx: Context[Any]) -> str:
        for message in ("Tool execution started", "Tool processing data", "Tool execution completed"):
            await ctx.info(message)  # pyright: ignore[reportDeprecated]  # the suite wants it
        return "Logged."

    @server.tool(description=NEEDED, structured_output=False)
    async def test_logging_tool() -> str:
        return "Nobody asked for a log."

    @server.tool(description=NEEDED, structured_output=False)
    async def test_tool_with_progress(ctx: Context[Any]) -> str:
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100, f"Completed step {done} of 100")
        return "Done."

    @server.tool(description=NEEDED, structured_output=False)
    async def test_reconnection(ctx: Context[Any]) -> str:
        await ctx.close_sse_stream()
        await anyio.sleep(0.1)  # in which the client comes back, as the suite wants it
        return "Reconnection test completed."

    @server.tool(description=NEEDED, structured_output=False)
    async def test_trigger_tool_change(ctx: Context[Any]) -> str:
        await ctx.notify_tools_changed()
        return "Told."

    @server.tool(description=NEEDED, structured_output=False)
    async def test_trigger_prompt_change(ctx: Context[Any]) -> str:
        await ctx.notify_prompts_changed()
        return "Told."


def _add_resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        return base64.b64decode(_IMAGE)

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002 - the suite's template names it so
        return f'{{"id": "{id}", "templateTest": true, "data": "Data for ID: {id}"}}'

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        return "Watched resource content"


def _add_prompts(server: MCPServer[Any]) -> None:
    @server.prompt(description=NEEDED)
    def test_simple_prompt() -> UserMessage:
        return UserMessage("This is a simple prompt for testing.")

    @server.prompt(description=NEEDED)
    def test_prompt_with_arguments(arg1: str, arg2: str) -> UserMessage:
        return UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")

    @server.prompt(description=NEEDED)
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
        resource = _embedded(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(resource), UserMessage("Please process the embedded resource above.")]

    @server.prompt(description=NEEDED)
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(_image()), UserMessage("Please analyze the image above.")]


def _image() -> ImageContent:
    return ImageContent(type="image", data=_IMAGE, mime_type="image/png")


def _embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))
