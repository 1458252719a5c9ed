"""How to plan: the plan model, the compiler, plan-and-execute, gates and budgets. Knows nothing of MCP, HTTP or SQL."""

from forethought_patterns.budget import Budget, Spending
from forethought_patterns.checks import Check
from forethought_patterns.compiler import Outcome, Rejected, StepState, Watcher, execute
from forethought_patterns.drafts import Brief
from forethought_patterns.gates import Decision, Gate, Policy
from forethought_patterns.memory import Memory
from forethought_patterns.outside import together, waiting
from forethought_patterns.plan import Plan, Step, Strategy
from forethought_patterns.plan_execute import Ended, Replan, run_plan
from forethought_patterns.planner import make_plan, replan
from forethought_patterns.ports import (
    Again,
    Answer,
    Approver,
    Charge,
    Form,
    Free,
    Heard,
    Journal,
    Meter,
    Model,
    Paused,
    Returned,
    Tried,
    Usage,
)
from forethought_patterns.validate import advice, parse_plan

__all__ = [
    "Again",
    "Answer",
    "Approver",
    "Brief",
    "Budget",
    "Charge",
    "Check",
    "Decision",
    "Ended",
    "Form",
    "Free",
    "Gate",
    "Heard",
    "Journal",
    "Memory",
    "Meter",
    "Model",
    "Outcome",
    "Paused",
    "Plan",
    "Policy",
    "Rejected",
    "Replan",
    "Returned",
    "Spending",
    "Step",
    "StepState",
    "Strategy",
    "Tried",
    "Usage",
    "Watcher",
    "advice",
    "execute",
    "make_plan",
    "parse_plan",
    "replan",
    "run_plan",
    "together",
    "waiting",
]
