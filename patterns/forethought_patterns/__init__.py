"""How to plan: the plan model, the compiler, plan-and-execute, gates and budgets. Knows nothing of MCP, HTTP or SQL."""

from forethought_patterns.budget import Budget, Spending
from forethought_patterns.checks import Check
from forethought_patterns.compiler import execute
from forethought_patterns.drafts import Brief
from forethought_patterns.gates import Decision, Gate, Policy
from forethought_patterns.in_memory import InMemoryJournal
from forethought_patterns.plan import Plan, Step, Strategy
from forethought_patterns.plan_execute import Ended, run_plan
from forethought_patterns.planner import make_plan, replan
from forethought_patterns.ports import (
    Again,
    Answer,
    Approver,
    Charge,
    Dialect,
    Free,
    Heard,
    Journal,
    Meter,
    Model,
    PlanJournal,
    Returned,
    Tried,
    Usage,
)
from forethought_patterns.problem import Problem
from forethought_patterns.recipe import Recipe
from forethought_patterns.rules import Ports, Replan, Resumed, Rules
from forethought_patterns.signals import Happened, Paused, Rejected, Signal
from forethought_patterns.slots import Slot, together
from forethought_patterns.validate import advice, parse_plan
from forethought_patterns.watcher import Outcome, StepState, Watcher

__all__ = [
    "Again",
    "Answer",
    "Approver",
    "Brief",
    "Budget",
    "Charge",
    "Check",
    "Decision",
    "Dialect",
    "Ended",
    "Free",
    "Gate",
    "Happened",
    "Heard",
    "InMemoryJournal",
    "Journal",
    "Meter",
    "Model",
    "Outcome",
    "Paused",
    "Plan",
    "PlanJournal",
    "Policy",
    "Ports",
    "Problem",
    "Recipe",
    "Rejected",
    "Replan",
    "Resumed",
    "Returned",
    "Rules",
    "Signal",
    "Slot",
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
]
