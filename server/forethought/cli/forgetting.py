"""Forgetting what is kept for good: rules, lessons and recipes, all in one way."""

__all__ = ["forgotten"]

from collections.abc import Sequence
from typing import Literal

from forethought.cli.terminal import console, may_forget, print_json
from forethought.journal.rows import Fact
from forethought.journal.store import Store
from forethought_tools import JSON, NotFoundError


def forgotten(
    store: Store,
    kind: Literal["rule", "lesson", "recipe"],
    named: str,
    ids: Sequence[str],
    *,
    asking: str = "",
    yes: bool,
    as_json: bool = False,
) -> int:
    """Forget these, which a person has `named`, and say so. Where something stands in `asking`, they are asked whether
    that may be forgotten. Returns how the command ends.

    Raises:
        NotFoundError: there are none.
    """
    if not ids:
        raise NotFoundError(f"There is no {kind} {named!r}. `forethought {kind}s` lists them.")
    if asking and (status := may_forget(asking, yes=yes, as_json=as_json)):
        return status
    gone: list[JSON] = list(ids)
    store.commit("", Fact(f"{kind}s_forgotten", {f"{kind}s": gone}))
    if as_json:
        print_json({"forgotten": gone})
    else:
        console.print(f"Forgotten: {len(gone)}.")
    return 0
