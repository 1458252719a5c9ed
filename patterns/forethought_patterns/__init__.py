"""How to plan: the plan model, the compiler, gates and the planner. Knows nothing of MCP, HTTP or SQL."""

from forethought_patterns.compiler import Outcome, Rejected, StepState, Watcher, execute, waiting
from forethought_patterns.gates import Decision, Gate
from forethought_patterns.pipeline import run_plan
from forethought_patterns.plan import Plan, Step
from forethought_patterns.planner import Brief, make_plan
from forethought_patterns.ports import Answer, Approver, Journal, Model, Usage
from forethought_patterns.validate import advice, parse_plan

__all__ = [
    "Answer",
    "Approver",
    "Brief",
    "Decision",
    "Gate",
    "Journal",
    "Model",
    "Outcome",
    "Plan",
    "Rejected",
    "Step",
    "StepState",
    "Usage",
    "Watcher",
    "advice",
    "execute",
    "make_plan",
    "parse_plan",
    "run_plan",
    "waiting",
]
