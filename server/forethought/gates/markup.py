"""How the approval page looks: plain HTML, one small style, no script, and headers that let nothing else in."""

__all__ = ["CODE", "HEADERS", "HOME", "fields_of", "notice_page", "page_of"]

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any

from starlette.responses import HTMLResponse, Response

from forethought.gates.forms import form, meaning
from forethought_patterns import Gate
from forethought_tools import JSON
from forethought_tools.visible import visible, visible_json

CODE = (
    '<div><label for="code">Code</label><input id="code" name="code" required autocapitalize="characters"'
    ' spellcheck="false"><p>The terminal shows it. Type it only here: who has it can decide for you.</p></div>'
)
HOME = '<p><a href="../">All that waits</a></p>'
"""Below a question: the way back to the list."""


def fields_of(gate: Gate, typed: Mapping[str, str]) -> str:
    """The form of a gate as HTML, with what was typed before. Nothing is chosen unless the person chose it."""
    fields: dict[str, Mapping[str, Any]] = form(gate, channel="page")["properties"]
    decision = fields.pop("decision")
    html = "<fieldset><legend>Your decision</legend>"
    for verb in map(str, decision["enum"]):
        chosen = " checked" if typed.get("decision") == verb else ""
        html += f'<label><input type="radio" name="decision" value="{verb}" required{chosen}>'
        html += f"<span><b>{verb}</b> {escape(meaning(gate, verb))}</span></label>"
    html += "</fieldset>"
    now: Mapping[str, JSON] = {"arguments": gate.details, "steps": gate.steps}
    for name, field in fields.items():
        kind, value = "" if name == "reason" or name in gate.fields else ' class="edit"', escape(typed.get(name, ""))
        html += f'<div{kind}><label for="{name}">{escape(str(field["description"]))}</label>'
        if name in now:
            html += f'<textarea id="{name}" name="{name}" rows="6" spellcheck="false">\n{value}</textarea>'
            current = escape(visible_json(now[name], indent=2))
            html += f"<details><summary>As it is now</summary><pre>{current}</pre></details></div>"
        else:
            most = escape(str(field.get("maxLength", 1000)))
            html += f'<input id="{name}" name="{name}" value="{value}" maxlength="{most}"></div>'
    return html


def notice_page(
    title: str, text: str, status: int, below: str = "", *, headers: Mapping[str, str] | None = None
) -> Response:
    shown = "".join(f"<p>{escape(visible(line))}</p>" for line in text.splitlines())
    return page_of(title, f'<div class="wrong" role="alert">{shown}</div>{below}', status, headers)


def page_of(title: str, body: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    return HTMLResponse(
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>' + title + " - forethought</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1>{body}</main></body></html>",
        status,
        headers,
    )


STYLE = """
:root { color-scheme: light dark; --text: #1c2330; --soft: #5a6476; --paper: #f5f6f8; --card: #fff; --line: #d5dae2;
  --accent: #2456c4; --on: #fff; --wrong: #b3261e; --done: #1b6e3c }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ef; --soft: #9aa5b6; --paper: #14171c; --card: #1d2128;
  --line: #353c48; --accent: #8fb2ff; --on: #10203f; --wrong: #ff9a90; --done: #7fd6a0 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--text); font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem 3rem }
h1 { font-size: 1.35rem; margin: 0 0 1rem }
a { color: var(--accent) }
p { margin: .25rem 0; color: var(--soft) }
pre, .wrong, .done, li a + p, fieldset label, main > ul > li { overflow-wrap: anywhere }
pre { white-space: pre-wrap; margin: 0; font: .9rem/1.55 ui-monospace, monospace }
main > pre, main ul > li, .wrong, .done { background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; padding: .9rem 1rem; margin: 0 0 1rem }
main > ul, main > form > ul { list-style: none; padding: 0; margin: 0 }
.wrong, .done { border-left: .3rem solid var(--wrong); color: var(--text) }
.done { border-left-color: var(--done) }
.wrong ul { margin: .25rem 0 0; padding-left: 1.2rem }
fieldset { border: 1px solid var(--line); border-radius: .6rem; background: var(--card); margin: 0; padding: .3rem }
legend { font-weight: 600; padding: 0 .4rem; margin-left: .3rem }
fieldset label { display: flex; gap: .7rem; padding: .55rem .7rem; border-radius: .4rem; cursor: pointer }
fieldset label:hover, fieldset label:has(:checked) { background: var(--paper) }
input[type=radio], input[type=checkbox] { accent-color: var(--accent); margin: .3rem 0 0; flex: none }
form > div { margin-top: 1rem }
form > div > label { display: block; margin-bottom: .25rem; font-weight: 600 }
form > div > input, textarea { width: 100%; padding: .55rem .7rem; border: 1px solid var(--line);
  border-radius: .4rem; background: var(--card); color: inherit; font: inherit }
textarea, #code { font-family: ui-monospace, monospace }
#code { max-width: 14rem; letter-spacing: .12em; text-transform: uppercase }
details { margin-top: .4rem }
summary { cursor: pointer; color: var(--soft) }
button { margin: 1.2rem 0 1rem; padding: .65rem 1.3rem; border: 0; border-radius: .4rem; font: inherit;
  font-weight: 600; background: var(--accent); color: var(--on); cursor: pointer }
:focus-visible { outline: .15rem solid var(--accent); outline-offset: .1rem }
@supports selector(:has(*)) { .edit { display: none } form:has([value=edit]:checked) .edit { display: block } }
"""

HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{HASH}'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    # Not no-referrer: with that a browser sends `Origin: null` with our own forms, as it does with hostile ones.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
