"""The terms of a run: when a person is asked, what may be spent, how often the plan may change.

The user's settings are the defaults. Whoever starts a run can tighten them and never loosen them, since it may be a
model that does.
"""

__all__ = ["REPLANS", "Terms", "read_budget", "read_risks"]

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast, get_args

from forethought_patterns import Policy, Replan, Strategy
from forethought_patterns.budget import MEASURES
from forethought_tools import JSON, Risk, SettingsError

REPLANS: tuple[Replan, ...] = get_args(Replan)


@dataclass(frozen=True)
class Terms:
    """Terms of a run, or the defaults of all runs."""

    replan: Replan = "on_failure"
    max_replans: int = 3
    max_parallel: int = 8
    policy: Policy = field(default_factory=Policy)
    strategies: Mapping[str, Strategy] = field(default_factory=dict[str, Strategy])
    """How steps are done, by id or `*`, instead of what the plan says."""
    budget: Mapping[str, float] = field(default_factory=dict[str, float])
    """Limits by measure: dollars, tokens, model_calls, tool_calls, seconds."""

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
        """These terms with the wishes of whoever starts a run; gates and budgets only ever get stricter."""
        policy = replace(
            self.policy,
            approve_plan=self.policy.approve_plan or approve_plan,
            ask_from=min(self.policy.ask_from, Risk[ask_from.upper()] if ask_from else Risk.HIGH),
            ask_below=max(self.policy.ask_below, ask_below),
            risks={**self.policy.risks, **{name: Risk[risk.upper()] for name, risk in (risks or {}).items()}},
        )
        limits = dict(self.budget)
        for measure, limit in (budget or {}).items():
            if measure not in MEASURES or not 0 <= limit < float("inf"):
                raise SettingsError(f"budget: {measure}={limit} cannot be. Limit {', '.join(MEASURES)}, from 0 on.")
            limits[measure] = min(limit, limits.get(measure, limit))
        return Terms(
            replan=replan or self.replan,
            max_replans=self.max_replans if max_replans is None else max_replans,
            max_parallel=max_parallel or self.max_parallel,
            policy=policy,
            strategies={**self.strategies, **(strategies or {})},
            budget=limits,
        )

    def body(self) -> dict[str, JSON]:
        """The terms as the journal keeps them."""
        policy = self.policy
        return {
            "replan": self.replan,
            "max_replans": self.max_replans,
            "max_parallel": self.max_parallel,
            "approve_plan": policy.approve_plan,
            "ask_from": str(policy.ask_from),
            "ask_below": policy.ask_below,
            "risks": {name: str(risk) for name, risk in policy.risks.items()},
            "strategies": dict(self.strategies),
            "budget": dict(self.budget),
        }

    @classmethod
    def from_body(cls, body: Mapping[str, JSON]) -> "Terms":
        """The terms that `body` has told."""
        known: dict[str, Any] = {name: body[name] for name in cls().body() if name in body}
        policy = Policy(
            ask_from=Risk[str(known.pop("ask_from")).upper()],
            ask_below=float(known.pop("ask_below")),
            approve_plan=bool(known.pop("approve_plan")),
            risks={name: Risk[risk.upper()] for name, risk in cast("Mapping[str, str]", known.pop("risks")).items()},
        )
        return cls(policy=policy, **known)


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


def read_risks(text: str, key: str) -> dict[str, Risk]:
    """Risks by pattern of tool name, such as `run_command=medium,files/*=high`. Raises SettingsError."""
    risks: dict[str, Risk] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        pattern, _, risk = part.rpartition("=")
        if not pattern or risk.lower() not in ("low", "medium", "high"):
            raise SettingsError(f"{key}: {part!r} must be PATTERN=low, PATTERN=medium or PATTERN=high.")
        risks[pattern.strip()] = Risk[risk.upper()]
    return risks
