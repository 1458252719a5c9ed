"""Search: a way to a goal is searched as a tree, in imagination or with tools that only read."""

__all__ = ["SEARCH", "start", "way_of"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

from forethought.engine.kinds.kind import Caller, Creator, Ending, Kind, Options, Progress, Work
from forethought.engine.kinds.look import Look, View
from forethought.engine.notes import bounded
from forethought.engine.plan_views import check_calls
from forethought.engine.trees import trees
from forethought.journal.queries import Queries
from forethought.journal.rows import RunRow
from forethought.terms import Terms
from forethought_patterns import Check, Problem
from forethought_patterns.checks import read_checks
from forethought_patterns.lats import Bounds
from forethought_patterns.worlds import BOUNDS, Move, Quest, WorldName, find, path_steps
from forethought_tools import JSON, ForethoughtError
from forethought_tools.text import as_text, clipped, one_line

_LINE = 160  # characters that one move is told in, twice


class SearchOptions(Options):
    """What is searched for, where, and how it is known when it is found."""

    world: WorldName
    verifier: Check | None = None
    """None: the evaluator says what is a solution, and others confirm it. That verifies nothing."""
    bounds: Bounds = BOUNDS


async def start(
    creator: Creator,
    goal: str,
    world: WorldName,
    *,
    verifier: JSON = None,
    bounds: Bounds = BOUNDS,
    terms: Terms | None = None,
    caller: Caller | None = None,
) -> RunRow:
    """Start to search a way to a goal. Raises FaultsError where the verifier cannot be used."""
    checks = await read_checks([] if verifier is None else [verifier], "verifier", creator.records.tools)
    options = SearchOptions(goal=goal, world=world, verifier=checks[0] if checks else None, bounds=bounds)
    return await creator.create(SEARCH, options, terms=terms, caller=caller)


def way_of(creator: Creator, run_id: str, goal: str, context: str) -> tuple[str, str, list[JSON] | None]:
    """What a plan of the way that a search has found is made of: goal, context, and the steps where tools were called.
    Without steps a planner has to make them.

    Raises:
        ForethoughtError: the run is no search, has not ended, or has found nothing.
    """
    run = creator.records.queries.run(run_id)
    answer: Mapping[str, JSON] = run.answer if isinstance(run.answer, Mapping) else {}
    path = cast("Sequence[Mapping[str, Any]]", answer.get("path", ()))
    if run.kind != SEARCH.name or not path:
        raise ForethoughtError(f"{run_id} is no search that has found a way. lats_search makes one.")
    way = [Move("", each["action"], each["tool"], each["arguments"], each["result"]) for each in path]
    steps = path_steps(way, creator.records.tools)
    moves = "\n".join(f"{number}. {move}" for number, move in enumerate(way, 1))
    context = f"{context}\nA search has found this way to the goal; follow it:\n{moves}".strip()[:100_000]
    return goal or run.goal, context, steps or None


async def _drive(work: Work[SearchOptions]) -> Ending:
    options = work.options
    quest = Quest(options.goal, verifier=options.verifier, bounds=options.bounds)
    found = await find(quest, options.world, work.calls())
    way = [node.state[-1] for node in found.path]
    answer: dict[str, JSON] = {
        "answer": way[-1].result if way and found.best.terminal else "",
        "solved": found.solved,
        "verified": found.solved and options.verifier is not None,
        "value": round(found.best.value, 3),
        "stopped": found.stopped,
        "path": [asdict(move) for move in way],
    }
    if found.solved:
        return Ending(answer)
    told = f"No solution was found ({found.stopped}). The best way so far is in the answer."
    wrong = f" Its verifier says: {way[-1].problem}" if way and way[-1].problem else ""
    return Ending(answer, Problem(told + wrong), found.root.lessons)


def _progress(queries: Queries, run: RunRow) -> Progress:
    most = SEARCH.read(run).bounds.iterations
    root = trees(queries, run.id).get("")
    nodes = list(root.walk()) if root else []
    done = nodes[0].visits - 1 if nodes else 0
    ends = [each.reward or 0 for each in nodes if each.terminal]
    best = f", best end {max(ends):.2f}" if ends else ""
    return Progress(done, most, f"{done} of at most {most} trajectories, {max(0, len(nodes) - 1)} nodes{best}")


def _view(look: Look) -> View:
    head = look.head(_progress(look.records.queries, look.run).text)
    verifier = SEARCH.read(look.run).verifier
    calls = check_calls([verifier] if verifier else [], "its verifier", look.records.tools)
    return {**head, **calls, **look.trouble(), **({} if look.waiting else _found(look.run)), **look.tail()}


def _found(run: RunRow) -> View:
    details: View = {"details": f"run://{run.id}/tree"}
    answer: Mapping[str, JSON] = run.answer if isinstance(run.answer, Mapping) else {}
    if not answer:
        return details
    verified = bool(answer["solved"]) and SEARCH.read(run).verifier is not None
    view: View = {"solved": answer["solved"], "verified": verified, "stopped": answer["stopped"]}
    if answer["answer"]:
        view["answer"] = bounded(str(answer["answer"]))
    path = [_move_line(move) for move in cast("Sequence[Mapping[str, JSON]]", answer["path"])]
    return {**view, "path": path, **details}


def _move_line(move: Mapping[str, JSON]) -> str:
    call = f" [{move['tool']} {as_text(move['arguments'])}]" if move["tool"] else ""
    action, result = clipped(one_line(str(move["action"])), _LINE), clipped(one_line(str(move["result"])), _LINE)
    return f"{action}{clipped(one_line(call), _LINE)} -> {result}"


def _next(look: Look) -> str:
    if not look.run.answer:
        return 'lats_search(goal="...") again, once what is in the way is mended'
    return f'create_plan(from_search="{look.run.id}") makes a plan of the path, if it is to be done'


SEARCH = Kind(name="search", options=SearchOptions, drive=_drive, progress=_progress, view=_view, next=_next)
