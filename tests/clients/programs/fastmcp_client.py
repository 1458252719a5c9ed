"""fastmcp's client, with a person who answers its forms by the types that it makes of them."""

import asyncio
import json

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from telling import APPROVE, given, tell

asked: list[str] = []


async def person(message: str, response_type: type, params: object, context: object) -> object:
    asked.append(message)
    return response_type(**APPROVE)


async def main() -> None:
    wanted = given()
    async with Client(StdioTransport(**wanted["server"]), elicitation_handler=person) as client:
        tools = [tool.name for tool in await client.list_tools()]
        plan = await client.call_tool("create_plan", {"goal": wanted["goal"], "steps": wanted["steps"]})
        named = {"plan_id": plan.structured_content["plan_id"]}
        await client.call_tool("execute_plan", named)
        seen = await client.call_tool("get_plan", named)
        tell(tools, json.dumps(seen.structured_content), asked)


asyncio.run(main())
