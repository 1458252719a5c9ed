"""The terms of a run: when a person is asked, what may be spent, how often the plan may change.

The user's settings are the defaults. Whoever starts a run can tighten them and never loosen them, since it may be a
model that does: asked more often, spending less, changing the plan less often, doing less at once.
"""

__all__ = ["REPLANS", "Terms", "read_agent_limits", "read_budget", "read_risks"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import get_args

from forethought_patterns import Policy, Replan, Strategy
from forethought_patterns.agent import Bounds
from forethought_patterns.budget import MEASURES
from forethought_patterns.loops import MAX_ITEMS
from forethought_tools import Risk, SettingsError
from forethought_tools.rules import read_rule, separated

REPLANS: tuple[Replan, ...] = get_args(Replan)
# Of one wish: each pattern is held against each tool that a step may call.
_MOST_RISKS = 50
_MOST_PATTERN = 200  # characters
_MOST_OF_AGENT = 10**9
_STRICTEST_FIRST: tuple[Replan, ...] = ("never", "on_failure", "every_step")


@dataclass(frozen=True)
class Terms:
    """Terms of a run, or the defaults of all runs."""

    replan: Replan = "on_failure"
    max_replans: int = 3
    max_parallel: int = 8
    max_items: int = MAX_ITEMS
    """Of one loop."""
    approve_plan: bool = False
    """The whole plan waits for a person before anything runs."""
    ask_from: Risk = Risk.HIGH
    """Calls of this risk or above wait."""
    ask_below: float = 0.0
    """Steps of which the planner or the executor is less sure than this wait."""
    risks: Mapping[str, Risk] = field(default_factory=dict[str, Risk])
    """Risks by rule; they raise and never lower."""
    strategies: Mapping[str, Strategy] = field(default_factory=dict[str, Strategy])
    """How steps are done, by id or `*`, instead of what the plan says."""
    budget: Mapping[str, float] = field(default_factory=dict[str, float])
    """Limits by measure: dollars, tokens, model_calls, tool_calls, seconds."""
    agent: Bounds = field(default_factory=Bounds)
    """How far a model of ours goes with a step that an agent does."""

    @property
    def policy(self) -> Policy:
        """When a person is asked."""
        return Policy(self.ask_from, self.ask_below, self.approve_plan, self.risks)

    def tightened(
        self,
        *,
        replan: Replan | None = None,
        max_replans: int | None = None,
        max_parallel: int | None = None,
        approve_plan: bool = False,
        ask_from: str | None = None,
        ask_below: float = 0.0,
        risks: Mapping[str, str] | None = None,
        strategies: Mapping[str, Strategy] | None = None,
        budget: Mapping[str, float] | None = None,
    ) -> "Terms":
        """These terms with the wishes of whoever starts a run: of each term the stricter one. A strategy is no stricter
        than another, so what the user has chosen stands."""
        if len(risks or {}) > _MOST_RISKS or any(len(pattern) > _MOST_PATTERN for pattern in risks or {}):
            raise SettingsError(
                f"risks: more than {_MOST_RISKS} patterns, or one over {_MOST_PATTERN} characters. Give fewer."
            )
        return Terms(
            replan=_stricter(self.replan, replan or self.replan),
            max_replans=min(self.max_replans, self.max_replans if max_replans is None else max_replans),
            max_parallel=min(self.max_parallel, max_parallel or self.max_parallel),
            max_items=self.max_items,
            approve_plan=self.approve_plan or approve_plan,
            ask_from=min(self.ask_from, Risk.named(ask_from) if ask_from else Risk.HIGH),
            ask_below=max(self.ask_below, ask_below),
            risks=_highest(self.risks, risks or {}),
            strategies=self.strategies if "*" in self.strategies else {**(strategies or {}), **self.strategies},
            budget=_lowest(self.budget, budget or {}),
            agent=self.agent,
        )


def _stricter(own: Replan, wish: Replan) -> Replan:
    return wish if _STRICTEST_FIRST.index(wish) < _STRICTEST_FIRST.index(own) else own


def _highest(risks: Mapping[str, Risk], wishes: Mapping[str, str]) -> dict[str, Risk]:
    highest = dict(risks)
    for pattern, risk in wishes.items():
        try:
            read_rule(pattern)
        except ValueError as error:
            raise SettingsError(f"risks: {pattern[:80]!r} cannot be read: {error}.") from None
        highest[pattern] = max(Risk.named(risk), risks.get(pattern, Risk.LOW))
    return highest


def _lowest(limits: Mapping[str, float], wishes: Mapping[str, float]) -> dict[str, float]:
    lowest = dict(limits)
    for measure, limit in wishes.items():
        if measure not in MEASURES or not 0 <= limit < float("inf"):
            raise SettingsError(f"budget: {measure}={limit} cannot be. Limit {', '.join(MEASURES)}, from 0 on.")
        lowest[measure] = min(limit, limits.get(measure, limit))
    return lowest


def read_budget(text: str, key: str) -> dict[str, float]:
    """Limits such as `dollars=0.5,model_calls=100`.

    Raises:
        SettingsError: no such measure, or no number; the message names `key`.
    """
    limits: dict[str, float] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        measure, _, number = part.partition("=")
        if measure not in MEASURES:
            raise SettingsError(f"{key}: {measure!r} cannot be limited. Use {', '.join(MEASURES)}.")
        try:
            limits[measure] = float(number)
        except ValueError:
            limits[measure] = -1.0
        if not 0 <= limits[measure] < float("inf"):
            raise SettingsError(f"{key}: {part!r} needs a number from 0 on, such as {measure}=10.")
    return limits


_AGENT: Mapping[str, float] = {"calls": Bounds().calls, "tokens": Bounds().tokens, "seconds": 600.0}


def read_agent_limits(text: str, key: str) -> dict[str, float]:
    """Limits such as `calls=20,seconds=900`, and the usual ones for the rest. Raises SettingsError."""
    limits = dict(_AGENT)
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, number = part.partition("=")
        if name not in limits or not number.isdecimal() or not 1 <= int(number) <= _MOST_OF_AGENT:
            raise SettingsError(
                f"{key}: {part!r} is no limit. Give calls=, tokens= or seconds= and a number from 1 on."
            )
        limits[name] = float(number)
    return limits


def read_risks(text: str, key: str) -> dict[str, Risk]:
    """Risks by rule, such as `run_command(git status*)=low,files/*=high`. Raises SettingsError."""
    risks: dict[str, Risk] = {}
    try:
        for part in filter(None, map(str.strip, separated(text))):
            pattern, _, risk = part.rpartition("=")
            if not pattern or risk.lower() not in ("low", "medium", "high"):
                raise SettingsError(f"{key}: {part!r} must be PATTERN=low, PATTERN=medium or PATTERN=high.")
            risks[str(read_rule(pattern))] = Risk.named(risk)
    except ValueError as error:
        raise SettingsError(f"{key}: {error}.") from None
    return risks
