"""What a client is told of work orders: each in full once, when it first goes out. From then on it is one line, which
says how to see it again, so that an answer that was lost loses nothing. Every other answer reminds of what is open."""

__all__ = ["reminder", "still_open", "taker_of", "told_once"]

import time
from collections.abc import Mapping, Sequence

from mcp.server.mcpserver import Context

from forethought.app import App
from forethought.engine.kinds.look import View
from forethought.engine.leases import Taker, is_free, is_work
from forethought.journal.rows import LeaseRow
from forethought.surface.asking import client_name
from forethought_tools import JSON


def taker_of(ctx: Context[App]) -> Taker:
    """The client of a call, as one that takes work. Sessions do not tell one from another, processes do."""
    app: App = ctx.request_context.lifespan_context
    name = client_name(ctx) or "a client"
    return Taker(f"{app.runs.store.database.id} {name}", name)


def told_once(view: View, told: set[tuple[str, str]], client: str, *, anew: bool = False) -> View:
    """What a client is shown: its orders in full where it has not seen them, or asks for them `anew`."""
    waiting = view.get("waiting_on")
    if not isinstance(waiting, Sequence) or isinstance(waiting, str):
        return view
    shown: list[JSON] = []
    for entry in waiting:
        if not isinstance(entry, Mapping) or "instructions" not in entry:
            shown.append(entry)
            continue
        known = (client, str(entry["order"])) in told
        shown.append(_in_short(entry, view) if known and not anew else entry)
        told.add((client, str(entry["order"])))
    return {**view, "waiting_on": shown}


def reminder(app: App, taker: Taker, view: View) -> View:
    """The answer with a line about what else this client was told to do, or may take, and has not reported."""
    shown = view.get("run_id") if "waiting_on" in view or "error" in view else ""
    line = still_open(app, taker, apart=str(shown or ""))
    if not line:
        return view
    last: View = {"next": view["next"]} if "next" in view else {}
    return {**{name: value for name, value in view.items() if name != "next"}, "reminder": line, **last}


def still_open(app: App, taker: Taker | None, *, apart: str = "") -> str:
    """A line about the orders that a client has or may take, `apart` from those of one run. Without a taker: any client
    of this process."""
    queries, now = app.runs.queries, time.time()
    told = {order for client, order in app.told if taker is None or client == taker.name}
    orders: list[str] = []  # the runs that they are of
    for order, run, key in queries.open_orders():
        if run == apart:
            continue
        if is_work(key):
            lease = queries.leases(run).get(order)
            free = is_free(lease, taker.id if taker else "", now) or (not taker and _is_of_here(app, lease))
            ours = free and list(queries.run(run).folders) == app.runs.records.folders
        else:
            ours = order in told
        orders += [run] if ours else []
    if not orders:
        return ""
    one = f'report(run_id="{orders[0]}", answers=[])'
    more = f"{len(orders)} work orders are" if len(orders) > 1 else "1 work order is"
    return f"{more} open: {one} shows what to report"


def _is_of_here(app: App, lease: LeaseRow | None) -> bool:
    return lease is not None and lease.holder.startswith(f"{app.runs.store.database.id} ")


def _in_short(entry: Mapping[str, JSON], view: View) -> JSON:
    again = f'get_plan(plan_id="{view.get("plan_id") or view["run_id"]}", view="full")'
    return {"order": entry["order"], "role": entry.get("role"), "told_before": f"{again} shows it in full again"}
