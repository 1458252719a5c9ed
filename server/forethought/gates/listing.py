"""The list of the approval page: what waits, with boxes for what can be decided together."""

__all__ = ["list_page", "meant"]

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape

from starlette.responses import Response

from forethought.gates.forms import about
from forethought.gates.markup import CODE, page_of
from forethought.gates.together import together
from forethought.journal.codec import gate_of
from forethought.journal.queries import Queries
from forethought.journal.rows import MessageRow
from forethought_tools.visible import visible

_LISTED = 150  # questions that are decided with one code: each has a field


def meant(
    given: Mapping[str, str], listed: Collection[str], waiting: Sequence[MessageRow]
) -> tuple[str, Sequence[MessageRow]]:
    """What is decided, and about which questions: of those that were `listed` the ones that are ticked, or to reject
    all of a run. None, where nothing is chosen."""
    verb, _, run = given.get("decision", "").partition(" ")
    if verb not in ("approve", "reject") or (run and verb != "reject"):
        return verb, []
    chosen = [each for each in waiting if (each.run == run if run else each.id in listed and each.id in given)]
    return verb, [each for each in chosen if verb in gate_of(each).choices]


def list_page(
    queries: Queries,
    waiting: Sequence[MessageRow],
    place: str,
    token: Callable[[str], str],
    *,
    notice: str = "",
    fault: str = "",
    status: int = 200,
    given: Mapping[str, str] | None = None,
) -> Response:
    """The list as a page. `token` proves which questions were shown whole, by their ids."""
    listed = [message for group in together(waiting) if len(group) > 1 for message in group][:_LISTED]
    told = {run: about(queries.run(run)) for run in {message.run for message in waiting}}
    shown = [
        _item(place, each, told[each.run], box=each in listed, ticked=each.id in (given or {})) for each in waiting
    ]
    done = f'<p class="done" role="status">{escape(notice)}</p>' if notice else ""
    done += f'<div class="wrong" role="alert">{escape(fault)}</div>' if fault else ""
    waits = f"<ul>{''.join(shown)}</ul>" if waiting else "<p>You can close this page.</p>"
    if listed:
        ids = " ".join(message.id for message in listed)
        waits = _form(f"/{place}/many", token(ids), ids, waits, [message.run for message in waiting])
    waits += "<p>The terminal shows a new code.</p>" if waiting and notice else ""
    return page_of("A person must decide" if waiting else "Nothing waits any more", done + waits, status)


def _item(place: str, message: MessageRow, told: Mapping[str, str], *, box: bool, ticked: bool) -> str:
    """One question: with a box where it can be decided here, and then with all that a person has to see of it."""
    gate = gate_of(message)
    link = f'<a href="/{place}/gate/{message.id}">{escape(visible(gate.subject))}</a>'
    if not box:
        return f"<li>{link}<p>{escape(visible(told['Goal']))}</p></li>"
    checked = " checked" if ticked else ""
    mark = f'<label><input type="checkbox" name="{message.id}" value="yes"{checked}> this one</label>'
    return f"<li>{link}<pre>{escape(gate.text(told))}</pre>{mark}</li>"


def _form(action: str, token: str, ids: str, items: str, runs: Sequence[str]) -> str:
    """The form around the list. Nothing is ticked or chosen unless the person did so."""
    choices = {"approve": "those that are ticked may go ahead, this once", "reject": "those that are ticked may not"}
    several = [run for run, count in Counter(runs).items() if count > 1]
    choices |= {f"reject {run}": f"nothing of {run} that waits may" for run in several}
    radios = "".join(
        f'<label><input type="radio" name="decision" value="{choice}" required>'
        f"<span><b>{choice.partition(' ')[0]}</b> {escape(text)}</span></label>"
        for choice, text in choices.items()
    )
    return (
        f'<form method="post" action="{action}" autocomplete="off">{items}'
        f'<input type="hidden" name="token" value="{token}"><input type="hidden" name="listed" value="{ids}">'
        f"<fieldset><legend>Your decision</legend>{radios}</fieldset>"
        '<div><label for="reason">Why not (optional; the planner sees it)</label>'
        f'<input id="reason" name="reason" maxlength="1000"></div>{CODE}<button>Record these decisions</button></form>'
    )
