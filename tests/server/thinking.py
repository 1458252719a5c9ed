"""What models say of drafts and of ways, and what a client reads of it."""

from typing import Any

from mcp.client import Client

View = dict[str, Any]


async def read(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    return str(getattr(content, "text", ""))


def judged(score: float, *issues: str, approved: bool = False) -> View:
    told = [{"where": "all", "problem": issue, "mend": "mend it", "taste": False} for issue in issues]
    return {"scores": {"1": score}, "issues": told, "approved": approved, "lessons": ["say it short"]}


def idea(action: str, result: str = "on the way", *, final: bool = False) -> View:
    return {"action": action, "result": result, "final": final}


def worth(*scores: float) -> View:
    return {str(number): {"score": score, "solved": False} for number, score in enumerate(scores, 1)}
