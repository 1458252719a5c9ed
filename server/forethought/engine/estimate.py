"""What a plan may cost before it runs: a rough guess, said to be one."""

__all__ = ["estimate"]

from collections import Counter

from forethought.models import Models
from forethought_patterns import Plan, Usage
from forethought_patterns.references import unknown
from forethought_patterns.strategies import writer_of
from forethought_tools import Registry, Role

_CALL = (1500, 400)  # tokens in and out of a middling call


def estimate(plan: Plan, tools: Registry, models: Models) -> str:
    """Model calls, tokens and dollars of a plan that goes well, in words."""
    roles = Counter[Role]()
    for step in plan.steps:
        tool = tools.get(step.tool)
        roles[writer_of(step)] += bool(tool and tool.asks)
        roles[Role.EXECUTOR] += bool(unknown(step.arguments))
        roles[Role.EVALUATOR] += bool(step.expected_output.strip() and step.check is None)
    roles[Role.JOINER] += plan.planned
    calls = +roles
    if not calls:
        return "no model calls"
    text = f"about {calls.total()} model call" + ("s" if calls.total() > 1 else "")
    text += ", and more for each item of its loops" if any(step.is_loop for step in plan.steps) else ""
    if all(models.for_role(role) is None for role in calls):
        return f"{text}, by the calling agent"
    dollars, unknown_prices = 0.0, set[str]()
    for role, count in calls.items():
        model = models.for_role(role)
        if model is None:
            continue
        cost = model.cost(Usage(count, _CALL[0] * count, _CALL[1] * count))
        dollars += cost or 0.0
        unknown_prices |= {model.name} if cost is None else set()
    text += f", {calls.total() * sum(_CALL)} tokens, {dollars:.2g} dollars" if dollars else ""
    return text + (f"; the price of {', '.join(sorted(unknown_prices))} is not known" if unknown_prices else "")
