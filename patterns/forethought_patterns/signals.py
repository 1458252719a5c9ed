"""What ends a piece of work though nothing went wrong: "not yet", "no", "it is done already".

None of these is an error, so none derives from `Exception`: no `except Exception` on the way may swallow a decision.
"""

__all__ = ["Happened", "Paused", "Rejected", "Signal"]

from forethought_tools import JSON


class Signal(BaseException):
    """Passes a decision of a person up to whoever acts on it."""


class Paused(Signal):
    """A person wants the run to pause, and nothing is in flight any more."""


class Rejected(Signal):
    """A person does not want this call to be made."""


class Happened(Signal):
    """A person says that this call has taken effect already, in an earlier activation."""

    def __init__(self, value: JSON) -> None:
        super().__init__("it has happened")
        self.value = value
