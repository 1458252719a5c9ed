"""Beyond a budget a person is asked, before anything is spent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client, ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from tests.server.asking import Form, journal_of, names_in, person, run_steps, view, write
from tests.serving import NEVER

from forethought.settings import Settings
from forethought.surface.server import build_server
from forethought_tools import Risk

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("verb", "status"), [("approve", "succeeded"), ("edit", "succeeded"), ("reject", "failed")])
async def test_beyond_a_budget_a_person_is_asked_and_refusal_keeps_what_was_done(
    make_settings: Callable[..., Settings], era: str, work: Path, verb: str, status: str
) -> None:
    seen: list[str] = []
    form: Form = {"decision": verb, **({"limit": 10} if verb == "edit" else {})}
    steps = [write(n, f"w{n}.txt", depends_on=[n - 1] if n > 1 else []) for n in range(1, 8)]
    settings = make_settings(terms=NEVER)
    async with Client(build_server(settings), mode=era, elicitation_callback=person(form, seen=seen)) as client:
        done = await run_steps(client, steps, budget={"tool_calls": 5})
    assert done["status"] == status
    written = names_in(work, "w*.txt")
    assert len(written) == (5 if verb == "reject" else 7)
    assert "would go beyond the budget of 5 tool calls" in seen[0]
    assert "tool calls: 5 of 5 are spent" in seen[0]
    assert len(seen) == 1
    assert next(entry.body["spent"] for entry in journal_of(settings, done, "budget_nearly_spent")) == 4
    if verb == "reject":
        assert "budget of 5 tool calls is used up" in done["error"]
        assert done["warnings"] == ["5 of 5 tool calls are spent"]


async def test_model_calls_tokens_and_money_are_counted_before_they_are_spent(
    make_settings: Callable[..., Settings], scripted_model: Callable[..., str], era: str
) -> None:
    steps = [{"id": n, "tool": "analyze", "arguments": {"question": f"q{n}"}} for n in range(1, 7)]
    model = scripted_model(executor=[{"always": "an answer"}])
    async with Client(build_server(make_settings(model=model, terms=NEVER)), mode=era) as client:
        waiting = await run_steps(client, steps, budget={"model_calls": 4})
        assert waiting["status"] == "waiting"
        assert waiting["waiting_on"][0]["kind"] == "budget"
        assert waiting["usage"].startswith("model calls: 4,")
        tokens = await run_steps(client, steps, budget={"tokens": 5})
        assert tokens["status"] == "waiting"
        assert "usage" not in tokens, "nothing was spent before the person was asked"


async def test_a_price_that_nobody_knows_is_said_and_not_taken_for_nothing(
    make_settings: Callable[..., Settings], era: str
) -> None:
    seen: list[str] = []
    settings = make_settings(model="a-model-of-nobody", base_url="http://127.0.0.1:9/v1", terms=NEVER)
    steps = [{"id": 1, "tool": "analyze", "arguments": {"question": "q"}}]
    reject = person({"decision": "reject"}, seen=seen)
    async with Client(build_server(settings), mode=era, elicitation_callback=reject) as client:
        done = await run_steps(client, steps, budget={"dollars": 1})
    assert "The price of a-model-of-nobody is not known" in seen[0]
    assert done["status"] == "failed"
    assert "did not want to go on" in done["error"]


async def test_a_question_about_the_budget_cuts_off_nobody(
    make_settings: Callable[..., Settings], era: str, work: Path
) -> None:
    """What must not be done twice is waited for before the run is put away."""
    (work / "fifo.sh").write_text("while [ ! -e go ]; do sleep 0.05; done; echo x >> log", encoding="utf-8")
    settings = make_settings(risks={"run_command": Risk.MEDIUM}, terms=NEVER, silence=10)

    async def elicit(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        (work / "go").touch()
        return ElicitResult(action="accept", content={"decision": "approve"})

    steps: list[dict[str, Any]] = [
        {"id": 1, "tool": "run_command", "arguments": {"command": "sh fifo.sh"}},
        *(
            {"id": n, "tool": "calculate", "arguments": {"expression": "1"}, "depends_on": [n - 1] if n > 2 else []}
            for n in (2, 3, 4)
        ),
    ]
    async with Client(build_server(settings), mode=era, elicitation_callback=elicit) as client:
        with anyio.fail_after(60):
            done = await run_steps(client, steps, budget={"tool_calls": 3})
            while done["status"] in ("running", "waiting"):
                done = view(await client.call_tool("execute_plan", {"plan_id": done["plan_id"]}))
    assert done["status"] == "succeeded", done
    assert (work / "log").read_text(encoding="utf-8") == "x\n"
    assert len(journal_of(settings, done, "step_started")) == 4
