"""Which calls wait for a person, what that person is shown, and what they can decide.

The gate judges the concrete call, after references are filled in. An approval is bound to the digest of tool,
arguments and what else the call rests on, and is good for one call. Silence is not consent.
"""

__all__ = [
    "Decision",
    "Gate",
    "Policy",
    "Verb",
    "call_gate",
    "decision_faults",
    "digest",
    "doubt_gate",
    "edited",
    "plan_gate",
    "visible",
]

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from forethought_patterns.gate_lines import brief_lines, plain_name
from forethought_patterns.numbering import step_as_meant
from forethought_patterns.plan import Plan, Step
from forethought_patterns.validate import parse_plan
from forethought_tools import JSON, Fault, PlanError, Registry, Risk, ToolError
from forethought_tools.alike import lookalikes
from forethought_tools.rules import read_rule
from forethought_tools.visible import told, visible

Verb: TypeAlias = Literal["approve", "approve_tool", "edit", "reject", "cancel", "happened", "again", "skip", "answer"]

_FORM = 5000  # characters that a form can show
_FILES = 20  # of those that a call names, that are shown
_VALUE = 1200  # characters of one long value that are shown


@dataclass(frozen=True, slots=True)
class Policy:
    """When a person is asked."""

    ask_from: Risk = Risk.HIGH
    """Calls of this risk or above wait."""
    ask_below: float = 0.0
    """Steps of which the planner or the executor is less sure than this wait."""
    approve_plan: bool = False
    """The whole plan waits before anything runs."""
    risks: Mapping[str, Risk] = field(default_factory=dict[str, Risk])
    """Risks by rule, for this run; they raise and never lower."""

    def risk(self, tool: str, tools: Registry, arguments: Mapping[str, JSON] | None = None) -> Risk:
        """The risk of calling a tool, with these arguments. Those of a plan may hold references still: a call is judged
        again once they are filled in."""
        return max(tools.risk(tool, arguments), self.raised(tool, tools, arguments))

    def raised(self, tool: str, tools: Registry, arguments: Mapping[str, JSON] | None = None) -> Risk:
        """The risk that this run's own rules give a call. No other rule goes below it."""
        known = tools.get(tool)
        raised = [risk for rule, risk in self.risks.items() if read_rule(rule).may_cover(tool, known, arguments)]
        return max(raised, default=Risk.LOW)

    def step_risk(self, step: Step, tools: Registry) -> Risk:
        """The highest risk of all that a step may call."""
        return max(self.risk(tool, tools, arguments) for _, tool, arguments in step.calls)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one gate, and how we know."""

    verb: Verb
    reason: str = ""
    arguments: Mapping[str, JSON] | None = None
    """The arguments to use instead, where the call was edited."""
    steps: Sequence[JSON] | None = None
    """The steps to run instead, where the plan was edited."""
    by: str = ""
    channel: str = ""
    rule: str | None = None
    """Of an approval: the rule that was made of it, or by which it was given."""

    @property
    def approved(self) -> bool:
        return self.verb in ("approve", "approve_tool", "edit", "again", "answer")


@dataclass(frozen=True, slots=True)
class Gate:
    """Something that waits for a person: a call, a plan, spending beyond a budget, a call that was cut off, or what the
    server of a tool asks in the middle of a call."""

    kind: Literal["call", "calls", "plan", "budget", "doubt", "question"]
    subject: str
    """What waits, in a line."""
    details: Mapping[str, JSON]
    """What a person has to see before they decide: the arguments of a call, the steps of a plan, what was spent."""
    reason: str
    """Why a person is asked."""
    digest: str
    """What the decision is bound to."""
    choices: Sequence[Verb]
    step: int | None = None
    tool: str = ""
    risk: Risk = Risk.HIGH
    undo: str = ""
    """What can be undone afterwards."""
    steps: Sequence[JSON] = ()
    """Of a plan: all its steps in the wire format, those that are finished included."""
    finished: Sequence[int] = ()
    """Of a plan: the steps that are not asked about, since they have run, or go on by an earlier approval."""
    next_step: int = 1
    """The first id that a new step may have."""
    limit: float = 0.0
    """Of a budget: how much it is now."""
    rests_on: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of a call: the files that it names, with their SHA-256."""
    fields: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict[str, Mapping[str, JSON]])
    """Of a question: what is to be filled in, by the names of the form's fields."""
    offers: Mapping[str, Mapping[str, str]] | None = None
    """Of a call that only its risk holds up: the rules that a person can make of it, each with the files that it rests
    on. None: no rule can let it pass."""

    def resting_on(self, files: Mapping[str, str]) -> "Gate":
        """The gate of a call, whose decision is bound to these files too."""
        return replace(self, rests_on=files, digest=digest(self.tool, self.details, files))

    @property
    def fits_a_form(self) -> bool:
        """Whether a form can show it. If not, only a channel that can show long texts may take the decision."""
        return sum(map(len, self._lines())) <= _FORM

    def text(self, about: Mapping[str, str]) -> str:
        """What the person reads before deciding. Nothing in it can hide or reorder anything else.

        `about` is what else they should know, such as goal, folders and spending.
        """
        lines = self._lines() or ["(no arguments)"]
        lines += [f"Look closely: {each}." for each in lookalikes(self.details)]
        lines += self._why()
        lines += [f"Undo: {self.undo}"] if self.undo else []
        lines += [line for name, value in about.items() if value for line in told(name, value)]
        return "\n".join([visible(self.subject), *lines])

    def _why(self) -> list[str]:
        risk = f"Risk: {self.risk}." if self._is_call else ""
        if "\n" in self.reason:  # a model has worded the end of it, and its lines must not pass for ours
            return [*([risk] if risk else []), *told("Why", self.reason)]
        return [f"{risk} {visible(self.reason)}".strip()]

    @property
    def _is_call(self) -> bool:
        return self.kind in ("call", "calls", "doubt")

    def _lines(self) -> list[str]:
        # A call that cannot be undone is shown whole: nobody may approve what they could not see.
        most = None if self._is_call and self.risk >= Risk.HIGH else _VALUE
        lines: list[str] = []
        for name, value in self.details.items():
            if self.kind == "plan" and isinstance(value, Mapping):
                lines += brief_lines(visible(name), value)
            elif self.kind == "calls" and isinstance(value, Mapping):
                shown = (line for each, of in value.items() for line in told(plain_name(each), of, most=most))
                lines += [visible(name), *shown]
            else:
                lines += told(plain_name(name) if self._is_call else visible(name), value, most=most)
        lines += [f"File {visible(name)}: SHA-256 {sha[:16]}" for name, sha in list(self.rests_on.items())[:_FILES]]
        return [*lines, f"and {more} more files"] if (more := len(self.rests_on) - _FILES) > 0 else lines


def call_gate(
    step: Step,
    arguments: Mapping[str, JSON],
    tools: Registry,
    policy: Policy,
    *,
    confidence: float | None = None,
    asked: bool = False,
) -> Gate | None:
    """The gate that this call has to pass, or none. Unknown tools count as HIGH, and what a person was `asked` about
    already is theirs to decide."""
    risk = policy.risk(step.tool, tools, arguments)
    sure = step.confidence if confidence is None else confidence
    unsure = sure is not None and sure < policy.ask_below
    if risk < policy.ask_from and not unsure and not asked:
        return None
    ruled_by_run = policy.raised(step.tool, tools, arguments) >= policy.ask_from  # whoever started it wants to be asked
    only_risk = not (unsure or asked or ruled_by_run) and tools.risk(step.tool, arguments) >= policy.ask_from
    ruled = only_risk and step.tool in tools and not tools.raised(step.tool, arguments)
    reason = _reason(step.tool, tools, arguments)
    if unsure:
        reason += f" The model is only {sure:.0%} sure of this step."
    if step.description:
        reason += f" It is meant to: {step.description[:300]}"
    return Gate(
        kind="call",
        subject=f"Step {step.id} wants to call {step.tool}.",
        details=arguments,
        reason=reason,
        digest=digest(step.tool, arguments),
        step=step.id,
        tool=step.tool,
        risk=risk,
        undo=_undo(step.tool, tools, arguments),
        offers={rule: {} for rule in tools.offers(step.tool, arguments)} if ruled else None,
        choices=("approve", "edit", "reject", "cancel")
        if risk >= Risk.HIGH
        else ("approve", "approve_tool", "edit", "reject", "cancel"),
    )


def doubt_gate(step: Step, arguments: Mapping[str, JSON], tools: Registry, policy: Policy) -> Gate:
    """The gate of a call that was cut off and must not simply be made again: only a person can look what came of it."""
    risk = policy.risk(step.tool, tools, arguments)
    return Gate(
        kind="doubt",
        subject=f"Step {step.id} was cut off in the middle of calling {step.tool}.",
        details=arguments,
        reason="Whether it took effect, or still goes on, is not known. Look before you decide."
        + (f" It was meant to: {step.description[:300]}" if step.description else ""),
        digest=digest(step.tool, arguments),
        step=step.id,
        tool=step.tool,
        risk=risk,
        undo=_undo(step.tool, tools, arguments),
        choices=("happened", "again", "skip", "cancel"),
    )


def plan_gate(
    plan: Plan,
    tools: Registry,
    policy: Policy,
    *,
    estimate: str,
    finished: Sequence[int],
    next_step: int,
    approved: Plan | None = None,
) -> Gate:
    """The gate that a whole plan has to pass: every step that is not `finished`, with its risk. Of a plan that a person
    has `approved` in an earlier revision it shows what has changed since, and what is the same goes on meanwhile."""
    rest = [step for step in plan.steps if step.id not in finished]
    known: Mapping[int, Step] = approved.by_id if approved else {}
    details: dict[str, JSON] = {}
    for step in rest:
        if step == known.get(step.id):
            continue
        after = f" after {', '.join(map(str, step.needs))}" if step.needs else ""
        how = f" by {step.strategy}" if step.strategy != "direct" else ""
        how += step.turns
        said = step.description and "what" not in step.arguments  # what is called may not hide behind what is said
        what: dict[str, JSON] = {"what": step.description} if said else {}
        details[f"{step.id}. {step.tool} ({policy.step_risk(step, tools)}){how}{after}"] = {**step.told, **what}
        for who, tool, arguments in step.calls[1:]:
            details[f"{step.id}. {who} calls {tool} ({policy.risk(tool, tools, arguments)})"] = arguments
    for step in known.values():
        if step.id not in plan.by_id:
            details[f"{step.id}. {step.tool} is dropped"] = step.told
    risk = max((policy.step_risk(step, tools) for step in rest), default=Risk.LOW)
    count = f"{len(rest)} step" + ("" if len(rest) == 1 else "s")
    shape = f"{count}, up to {plan.width} at once, longest chain {len(plan.critical_path)}"
    return Gate(
        kind="plan",
        subject=f"Revision {plan.revision} of the plan wants to run: {shape}.",
        details=details,
        reason=f"{_since(approved)}Highest risk: {risk}. Estimated: {estimate}.",
        digest=digest("plan", {"steps": plan.wire()}),
        risk=risk,
        choices=("approve", "edit", "reject", "cancel"),
        steps=plan.wire(),
        finished=tuple(finished),
        next_step=next_step,
    )


def _since(approved: Plan | None) -> str:
    return f"Shown is what has changed since revision {approved.revision}, which was approved. " if approved else ""


def decision_faults(gate: Gate, decision: Decision, tools: Registry) -> list[Fault]:
    """What keeps a decision from being taken: a choice that this gate does not offer, an edit that is not valid."""
    if decision.verb not in gate.choices:
        return [Fault("decision", f"{decision.verb!r} cannot be chosen here", f"Choose: {', '.join(gate.choices)}")]
    if decision.rule and (decision.verb != "approve" or decision.rule not in (gate.offers or {})):
        return [Fault("decision", "no such rule is offered here", "Choose one of those that are shown, or approve")]
    if decision.verb != "edit":
        return []
    if gate.kind == "plan":
        return _edit_faults(gate, decision.steps or (), tools)
    if gate.kind == "budget":
        limit = (decision.arguments or {}).get("limit")
        fine = isinstance(limit, int | float) and not isinstance(limit, bool) and gate.limit < limit < 1e12
        return [] if fine else [Fault("limit", "it is no new limit", f"Give a number above {gate.limit:.12g}")]
    if gate.kind == "calls":
        return _drop_faults(gate, decision)
    if decision.arguments is None:
        return [Fault("arguments", "they are missing", "Give the whole arguments, as a JSON object")]
    if gate.tool not in tools:
        return []
    if unfit := tools.faults(gate.tool, decision.arguments):
        return [Fault("edit", fault.at("arguments"), f"See the schema of {gate.tool}") for fault in unfit]
    try:
        tools.check_changed(gate.tool, decision.arguments)
    except ToolError as error:
        return [Fault("edit", str(error).rstrip("."), "Change it once more, or reject the call")]
    return []


def _drop_faults(gate: Gate, decision: Decision) -> list[Fault]:
    numbers = [int(name.split()[1]) for name in gate.details]
    drop = (decision.arguments or {}).get("drop")
    if not isinstance(drop, list) or not drop:
        return [Fault("drop", "no item is named", f"Name those that are not to be done, such as {numbers[0]}")]
    if wrong := [each for each in drop if each not in numbers]:
        return [Fault("drop", f"{wrong[0]} is none of the items", f"They are {', '.join(map(str, numbers))}")]
    return []


def edited(gate: Gate, *, drop: Collection[int], changed: Sequence[JSON]) -> list[JSON]:
    """The steps of a plan without those to drop, and with those that are given anew, by id."""
    changed = list(map(step_as_meant, changed))
    by_id = {number: step for step in changed if (number := _id(step)) is not None}
    nameless = [step for step in changed if _id(step) is None]  # a fault, which validation tells
    kept = [by_id.pop(n, step) for step in gate.steps if (n := _id(step)) is not None and n not in drop]
    return [*kept, *by_id.values(), *nameless]


def _edit_faults(gate: Gate, steps: Sequence[JSON], tools: Registry) -> list[Fault]:
    now = {number: step for step in steps if (number := _id(step)) is not None}
    faults = [
        Fault(f"step {step}", "it has run, or goes on by an earlier approval", "Leave it as it is")
        for step in gate.finished
        if now.get(step) != next(old for old in gate.steps if _id(old) == step)
    ]
    known = [_id(step) for step in gate.steps]
    faults += [
        Fault(f"step {step}", "this id is taken", f"Number new steps from {gate.next_step} on")
        for step in now
        if step not in known and step < gate.next_step
    ]
    try:
        parse_plan("edited", steps, tools)
    except PlanError as error:
        faults += error.faults
    return faults


def _id(step: JSON) -> int | None:
    number = step.get("id") if isinstance(step, Mapping) else None
    return number if isinstance(number, int) else None


def digest(tool: str, arguments: Mapping[str, JSON], rests_on: Mapping[str, str] | None = None) -> str:
    """What an approval is bound to: SHA-256 of tool, arguments and what else the call rests on, in a canonical form."""
    whole: list[JSON] = [tool, arguments, rests_on] if rests_on else [tool, arguments]
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _reason(tool: str, tools: Registry, arguments: Mapping[str, JSON]) -> str:
    """Why a person is asked, in words."""
    if raised := tools.raised(tool, arguments):
        return raised
    if tool not in tools:
        return "Nobody knows what this tool does, so it counts as high."
    known = tools.get(tool)
    if known is not None and known.source:
        return f"{known.why} What it does cannot be undone by forethought.".strip()
    if tools.lasting(tool):
        return "What it does cannot be undone."
    return "It only reads." if tools.reads_only(tool) else "It changes something."


def _undo(tool: str, tools: Registry, arguments: Mapping[str, JSON]) -> str:
    """How such a call is taken back, in words."""
    known = tools.get(tool)
    if known is not None and known.undo is not None:
        if known.undo.keeps(arguments):
            return "what it replaces is kept; `forethought rollback` puts it back"
        return "none: it cannot be undone"
    return "none: it cannot be undone" if tools.lasting(tool) else "nothing to undo"
