"""The rows of a run, computed from its journal alone."""

from collections.abc import Mapping
from typing import Any

from forethought.journal.rows import Entry


def fold(entries: list[Entry]) -> tuple[dict[str, Any], dict[int, dict[str, Any]], dict[str, dict[str, Any]]]:
    """The rows of one run, from its journal alone: written apart from the SQL, so that the two check each other."""
    run: dict[str, Any] = {}
    steps: dict[int, dict[str, Any]] = {}
    messages: dict[str, dict[str, Any]] = {}
    for entry in entries:
        body: Any = entry.body
        match entry.kind:
            case "run_created":
                run = {
                    "id": entry.run,
                    "plan": body["plan"],
                    "kind": body["kind"],
                    "state": "running",
                    "epoch": 1,
                    "owner": body["owner"],
                    "options": body["options"],
                    "error": "",
                    "stopping": 0,
                    "pausing": 0,
                    "undoes": "",
                    "revision": body["revision"],
                    "replans": 0,
                    "answer": "",
                    "budget": body["budget"],
                    "dollars": 0.0,
                    "unpriced": 0,
                    "model_calls": 0,
                    "tool_calls": 0,
                    "seconds": 0.0,
                    "input_tokens": 0,
                    "output_tokens": 0,
                    "created": entry.at,
                    "ended": None,
                }
                steps = {n: _pending(entry.run, n) for n in body["steps"]}
            case "run_claimed":
                run |= {
                    "owner": body["owner"],
                    "epoch": run["epoch"] + 1,
                    "state": "running",
                    "pausing": run["pausing"] % 2,
                }
                for message in messages.values():
                    if (
                        message["state"] == "answered"
                        and message["kind"] == "gate"
                        and _lapses(message, body["oldest"])
                    ):
                        message |= {"state": "open", "answer": None, "by": "", "channel": "", "answered": None}
                    if message["state"] == "answered":
                        message["state"] = "used"
            case "run_parked":
                run |= {"state": "waiting", "owner": None, "seconds": run["seconds"] + body["seconds"]}
            case "run_ended":
                run |= {
                    "state": body["state"],
                    "error": body["error"],
                    "answer": body["answer"],
                    "ended": entry.at,
                    "owner": None,
                    "seconds": run["seconds"] + body["seconds"],
                }
                for message in messages.values():
                    if message["state"] == "open":
                        message["state"] = "closed"
            case "stop_asked":
                run |= {"stopping": 1, "state": "waiting" if run["state"] == "paused" else run["state"]}
            case "pause_asked":
                run |= {"pausing": 1, "state": "paused" if run["owner"] is None else run["state"]}
            case "run_paused":
                run |= {"state": "paused", "owner": None, "seconds": run["seconds"] + body["seconds"]}
            case "resume_asked":
                held = run["state"] == "paused"
                run |= {"pausing": 2 if held else 0, "state": "waiting" if held else run["state"]}
            case "spent":
                for name in ("model_calls", "input_tokens", "output_tokens", "dollars", "unpriced"):
                    run[name] += body[name]
            case "plan_revised":
                run |= {"revision": body["revision"], "replans": run["replans"] + body["replanned"]}
                for number in body["dropped"]:
                    steps[number]["dropped"] = 1
                steps |= {number: _pending(entry.run, number) for number in body["steps"]}
            case "budget_raised":
                run["budget"] = {**run["budget"], body["measure"]: body["limit"]}
            case "rollback_begun":
                run["undoes"] = body["of"]
            case "claimed" | "freed":
                pass  # a claim is nothing that stays
            case "budget_nearly_spent" | "step_allowed":
                pass
            case "step_added":
                steps[body["step"]] = _pending(entry.run, body["step"]) | {
                    "body": body["body"],
                    "dropped": body["dropped"],
                }
            case "step_started":
                steps[body["step"]] |= {
                    "state": "running",
                    "arguments": body["arguments"],
                    "epoch": body["epoch"],
                    "returned": 0,
                    "result": None,
                    "started": entry.at,
                }
                run["tool_calls"] += 1
            case "call_started":
                run["tool_calls"] += 1
            case "step_returned":
                steps[body["step"]] |= {"returned": 1, "result": body["result"]}
            case "step_again":
                step = steps[body["step"]]
                step |= {
                    "state": "pending",
                    "attempt": step["attempt"] + 1,
                    "round": step["round"] + 1,
                    "feedback": body["feedback"],
                    "error": body["error"],
                    "arguments": None,
                    "returned": 0,
                    "result": None,
                }
            case "step_waiting":
                steps[body["step"]]["state"] = "waiting"
            case "step_resumed":
                steps[body["step"]]["state"] = "running"
            case "step_in_doubt":
                steps[body["step"]] |= {"state": "in_doubt", "doubt": 1}
            case "step_redone":
                step = steps[body["step"]]
                step |= {"state": "pending", "doubt": 0, "attempt": step["attempt"] + 1, "arguments": None}
            case "step_retrying":
                steps[body["step"]]["attempt"] += 1
                steps[body["step"]]["error"] = body["error"]
            case "step_settled":
                steps[body["step"]] |= {name: body[name] for name in ("state", "result", "error")} | {
                    "ended": entry.at,
                    "doubt": 0,
                }
            case "asked":
                told = {name: body[name] for name in ("id", "key", "kind", "step", "body")}
                messages[body["id"]] = {
                    "run": entry.run,
                    "state": "open",
                    "answer": None,
                    "approval": 0,
                    "by": "",
                    "channel": "",
                    "asked": entry.at,
                    "answered": None,
                    "number": len(messages) + 1,
                    **told,
                }
            case "answered":
                said = {name: body[name] for name in ("answer", "approval", "by", "channel")}
                messages[body["id"]] |= {"state": "answered", "answered": entry.at, **said}
            case "noted" | "kept":
                told = {name: body[name] for name in ("id", "key", "step", "body")}
                kind = "note" if entry.kind == "noted" else "undo"
                told |= {"run": entry.run, "kind": kind, "state": "closed", "answer": None, "approval": 0, "by": ""}
                messages[body["id"]] = {
                    **told,
                    "channel": "",
                    "asked": entry.at,
                    "answered": None,
                    "number": len(messages) + 1,
                }
            case "lesson_learned" | "lessons_forgotten" | "pruned":
                pass  # they are no part of a run
            case "redirected":
                messages[body["id"]] |= {"kind": body["kind"], "body": body["body"]}
            case "used":
                messages[body["id"]]["state"] = "used"
            case "lapsed":
                messages[body["id"]] |= {"state": "open", "answer": None, "by": "", "channel": "", "answered": None}
            case other:
                raise AssertionError(f"a fact that the fold does not know: {other}")
    return run, steps, messages


def _pending(run: str, number: int) -> dict[str, Any]:
    return {
        "run": run,
        "id": number,
        "state": "pending",
        "attempt": 1,
        "round": 0,
        "feedback": "",
        "epoch": 0,
        "arguments": None,
        "returned": 0,
        "result": None,
        "error": "",
        "dropped": 0,
        "doubt": 0,
        "body": None,
        "started": None,
        "ended": None,
    }


def _lapses(message: Mapping[str, Any], oldest: float) -> bool:
    return message["answered"] < oldest and message["answer"]["verb"] in ("approve", "approve_tool", "edit", "again")
