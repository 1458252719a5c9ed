"""A work order is told in full once to each client: when it first goes out. From then on it is one line, which says how
to see it again, so that an answer that was lost loses nothing."""

__all__ = ["told_once"]

from collections.abc import Mapping, Sequence

from forethought.engine.kinds.look import View
from forethought_tools import JSON


def told_once(view: View, told: set[tuple[str, str]], client: str, *, anew: bool = False) -> View:
    """What a client is shown: its orders in full where it has not seen them, or asks for them `anew`."""
    waiting = view.get("waiting_on")
    if not isinstance(waiting, Sequence) or isinstance(waiting, str):
        return view
    shown: list[JSON] = []
    for entry in waiting:
        if not isinstance(entry, Mapping) or "order" not in entry:
            shown.append(entry)
            continue
        known = (client, str(entry["order"])) in told
        shown.append(_in_short(entry, view) if known and not anew else entry)
        told.add((client, str(entry["order"])))
    return {**view, "waiting_on": shown}


def _in_short(entry: Mapping[str, JSON], view: View) -> JSON:
    again = f'get_plan(plan_id="{view.get("plan_id") or view["run_id"]}", view="full")'
    return {"order": entry["order"], "role": entry.get("role"), "told_before": f"{again} shows it in full again"}
