"""What each program here is given, and how it tells what it saw: as JSON, on the last line that it prints.

The programs run in the environment of their client, not in that of the project.
"""

import json
import sys
from typing import Any

APPROVE = {"decision": "approve"}


def given() -> dict[str, Any]:
    """The server to start, the address of the model, the goal and the steps of a plan."""
    return dict(json.loads(sys.argv[1]))


def tell(tools: list[str], said: str, asked: list[str] | None = None) -> None:
    """Which tools the client lists, what came of it all, and what a person was asked in a form."""
    print(json.dumps({"tools": tools, "said": said, "asked": asked or []}))
