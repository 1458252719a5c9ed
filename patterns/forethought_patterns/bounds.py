"""How far a tree search goes, and what it goes by."""

__all__ = ["Bounds"]

from dataclasses import dataclass

_WIDEST = 4  # trajectories at the same time, unless more are asked for
_BROAD = range(100, 301)  # calls in all: too few to start with one trajectory at a time, and enough for `_WIDEST`


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a search goes, and what it goes by. Raises ValueError where one cannot be."""

    iterations: int = 30
    """Trajectories, at most."""
    candidates: int = 5
    """How many actions are asked for at a time (n)."""
    max_depth: int = 7
    """Actions in a row, at most."""
    exploration: float = 0.03
    """Weight of exploration in UCT (w). 0 is greedy."""
    value_weight: float = 0.8
    """Weight of the evaluation against self-consistency in a node's first value (lambda)."""
    parallel: int | None = None
    """How many trajectories go on at the same time, at first. None: four for 100 to 300 model calls, else one."""
    model_calls: int | None = None
    """Hard bound on calls of the world's `propose`, `evaluate`, `confirm` and `reflect` together."""
    seed: int | None = None
    """Shuffles new candidates, so that ties fall differently. None: they fall to what was proposed first."""

    def __post_init__(self) -> None:
        for name in ("iterations", "candidates", "max_depth", "parallel"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if not (0 <= self.value_weight <= 1 and self.exploration >= 0 and (self.model_calls or 0) >= 0):
            raise ValueError("value_weight must be from 0 to 1, and exploration and model_calls at least 0")

    @property
    def at_first(self) -> int:
        """How many start together: `parallel`, or what is usual."""
        return self.parallel or (_WIDEST if self.model_calls in _BROAD else 1)

    @property
    def widest(self) -> int:
        """How many may go on at the same time in the end."""
        return max(self.at_first, _WIDEST)
