"""Which variables of our environment a command inherits: none that looks like the key of any service, ours or not."""

__all__ = ["is_inherited"]

import re
from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase

_WORDS = "TOKEN|KEY|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASSCODE|PASS|CREDENTIAL|COOKIE|DSN"
_SECRET_NAME = re.compile(rf"({_WORDS})S?(_|\d*$)|PASSWORD|SECRET|_(AUTH|PAT|PW|PWD)$")
_SIGNED_IN = re.compile(r"://[^/\s@]*:[^/\s@]+@")
"""Part of an address that holds a password, such as most of DATABASE_URL."""


def is_inherited(
    name: str,
    value: str,
    *,
    hidden: Collection[str] = (),
    shown: Sequence[str] = (),
    redact: Callable[[str], str] | None = None,
) -> bool:
    """Whether a command may see this variable.

    Never one that is `hidden` by name, or whose value holds what `redact` takes out. Of the others one that looks like
    a secret only where a person has said so: `shown` are names, or patterns of them.
    """
    if name in hidden or (redact is not None and redact(value) != value):
        return False
    if any(fnmatchcase(name, pattern) for pattern in shown):
        return True
    return not (_SECRET_NAME.search(name.upper()) or _SIGNED_IN.search(value))
