"""What a step can call: tools, their risk, and a registry. Imports neither of the other two packages."""

from forethought_tools.claims import Claim, Place
from forethought_tools.errors import (
    AnswerError,
    BudgetError,
    ChangedError,
    Fault,
    FaultsError,
    FencedError,
    ForethoughtError,
    ModelError,
    NotFoundError,
    PlanError,
    SettingsError,
    StoreError,
    ToolError,
)
from forethought_tools.registry import WITHHELD, Registry, withheld
from forethought_tools.risk import Risk
from forethought_tools.schemas import SchemaFault, schema_faults
from forethought_tools.seen import Look, Seen
from forethought_tools.tool import JSON, Answerer, Kept, Limits, Question, Role, Stands, Tool, Undo, tool

__all__ = [
    "JSON",
    "WITHHELD",
    "AnswerError",
    "Answerer",
    "BudgetError",
    "ChangedError",
    "Claim",
    "Fault",
    "FaultsError",
    "FencedError",
    "ForethoughtError",
    "Kept",
    "Limits",
    "Look",
    "ModelError",
    "NotFoundError",
    "Place",
    "PlanError",
    "Question",
    "Registry",
    "Risk",
    "Role",
    "SchemaFault",
    "Seen",
    "SettingsError",
    "Stands",
    "StoreError",
    "Tool",
    "ToolError",
    "Undo",
    "schema_faults",
    "tool",
    "withheld",
]
