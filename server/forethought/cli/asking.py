"""A gate put to a person at the terminal: what waits, what they decide, and a change of it in their editor."""

__all__ = ["kept_terminal", "put"]

import json
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from rich.markup import escape
from rich.panel import Panel

from forethought.app import Journal
from forethought.cli.terminal import as_is, console
from forethought.gates.decisions import (
    OVERTAKEN,
    TOO_LATE,
    Overtaken,
    Recorded,
    Refused,
    record_decision,
    take_decision,
)
from forethought.gates.forms import filled_in, form, gate_text, standing
from forethought.journal.codec import gate_of
from forethought.journal.rows import MessageRow
from forethought_patterns import Gate
from forethought_tools import JSON, Registry
from forethought_tools.visible import visible, visible_json

_UNCHANGED = "Nothing was changed, so nothing is decided. To let it go ahead as it is: approve."


def put(journal: Journal, tools: Registry, message: MessageRow, seconds: float) -> Recorded | Overtaken | None:
    """Ask a person about a gate until they have decided, and record that. None: they leave it for later.

    `tools` are those of the run's own folders. What a person changes is refused, and asked about again, where the call
    could not be made; so is what they say more than so many `seconds` after it was shown.
    """
    gate = gate_of(message)
    record = partial(record_decision, journal.store, tools)
    take = partial(take_decision, message, by="person at the terminal", channel="terminal", record=record)
    _show(journal, message)
    shown, asked = time.monotonic(), _Form(gate)
    while (filled := asked.filled()) is not None:
        if time.monotonic() - shown > seconds:
            console.print(TOO_LATE)
            _show(journal, message)
            shown = time.monotonic()
            continue
        taken = anyio.run(take, filled)
        if not isinstance(taken, Refused):
            if isinstance(taken, Overtaken):
                console.print(OVERTAKEN)
            return taken
        console.print(f"[red]{escape(str(taken.error))}[/]", soft_wrap=True)
    return None


def _show(journal: Journal, message: MessageRow) -> None:
    text = as_is(gate_text(message, journal.queries.run(message.run)))
    console.print(Panel(text, title="A person must decide", border_style="yellow", title_align="left"))
    if rules := standing(gate_of(message)):
        console.print("Or approve it always, in these folders:")
        for choice, rule in rules.items():
            console.print(as_is(f"  {choice}: {visible(rule)}"), soft_wrap=True)


class _Form:
    """The form of one gate, with the change that a person has begun, so that they can mend it where it is refused."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._schema = form(gate, channel="terminal")
        self._draft = ""

    def filled(self) -> dict[str, Any] | None:
        """What a person fills in. None: they leave it for later."""
        try:
            while verb := self._verb():
                said = {"decision": verb, **self._fields(verb)}
                if verb != "edit" or len(said) > 1:
                    return filled_in(self._schema, said)
                console.print(_UNCHANGED)
        except EOFError:
            pass
        return None

    def _verb(self) -> str:
        first, *rest = self._gate.choices
        rules = list(standing(self._gate))
        choices = [first, *(["always"] if rules else ()), *rest]
        question = f"Type {', '.join(choices[:-1])} or {choices[-1]} (or nothing, to decide later): "
        while typed := " ".join(input(question).lower().split()):
            if typed == "always":
                typed = rules[0] if len(rules) == 1 else f"always {input('Which one (a number): ').strip()}"
            if typed in (*self._gate.choices, *rules):
                break
        return typed

    def _fields(self, verb: str) -> dict[str, str]:
        """What else is asked after a choice. Of an edit that changes nothing: nothing."""
        if verb in ("reject", "cancel"):
            return self._typed("reason")
        if verb == "answer":
            return {key: said for name in self._gate.fields for key, said in self._typed(name).items()}
        if verb != "edit":
            return {}
        if self._gate.kind == "call":
            return self._edited_call()
        if self._gate.kind == "plan":
            return self._edited_plan() if _editor() else {**self._typed("drop"), **self._typed("steps")}
        return self._typed("drop" if self._gate.kind == "calls" else "limit")

    def _typed(self, name: str) -> dict[str, str]:
        given = input(f"{self._about(name)}: ").strip()
        return {name: given} if given else {}

    def _about(self, name: str) -> str:
        return str(self._schema["properties"][name].get("description", name))

    def _edited_call(self) -> dict[str, str]:
        before = self._gate.details
        text = self._edited(visible_json(before, indent=2), self._about("arguments"))
        return {"arguments": text} if text and _read(text) != before else {}

    def _edited_plan(self) -> dict[str, str]:
        """What became of the steps in an editor: one that is gone is dropped, one that differs is changed."""
        rest = [step for step in self._gate.steps if _id(step) not in self._gate.finished]
        text = self._edited(visible_json(rest, indent=2), self._about("steps"))
        left = _read(text)
        if not text or not isinstance(left, list):
            return {"steps": text} if text else {}  # the form says what is wrong with it
        kept = [_id(step) for step in left]
        gone = [number for step in rest if (number := _id(step)) not in kept]
        changed = [step for step in left if step not in rest]
        dropped = {"drop": ", ".join(map(str, gone))} if gone else {}
        return {**dropped, **({"steps": json.dumps(changed)} if changed else {})}

    def _edited(self, text: str, what: str) -> str:
        self._draft = _edited(self._draft or text, what).strip()
        return self._draft


def _id(step: JSON) -> JSON:
    return step.get("id") if isinstance(step, Mapping) else None


def _read(text: str) -> JSON:
    """The value that a text holds as JSON; none, where it is no JSON."""
    try:
        value: JSON = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def _editor() -> list[str]:
    """The person's own editor, and its options."""
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ""
    try:
        return shlex.split(named)
    except ValueError:  # a quote that does not end
        return [named]


def _edited(text: str, what: str) -> str:
    """The text as a person has changed it: in their editor, or on a line that has it already. Empty: they have not."""
    if not (editor := _editor()):
        return _on_a_line(text, what)
    with tempfile.TemporaryDirectory(prefix="forethought-") as folder:  # for this user's eyes only
        file = Path(folder) / "edit.json"
        file.write_text(f"{text}\n", encoding="utf-8")
        try:
            status = subprocess.run([*editor, str(file)], check=False).returncode  # noqa: S603 - the person has chosen it
        except OSError as error:
            console.print(escape(f"{editor[0]} does not start ({error.strerror}). VISUAL or EDITOR names your editor."))
            return _on_a_line(text, what)
        if status:
            console.print(escape(f"{editor[0]} ended with {status}, so what it wrote does not count."))
            return ""
        return file.read_text(encoding="utf-8", errors="replace")


def _on_a_line(text: str, what: str) -> str:
    try:
        import readline  # not on every system; it changes how every line is read, so only once one is edited
    except ImportError:
        return input(f"{what}: ").strip()
    line = " ".join(each.strip() for each in text.splitlines())
    readline.set_startup_hook(lambda: readline.insert_text(line))
    try:
        return input(f"{what}: ").strip()
    finally:
        readline.set_startup_hook()


@contextmanager
def kept_terminal() -> Generator[None]:
    """The terminal is left as it was, also where a line that is being edited in a thread is given up."""
    try:
        import termios
    except ImportError:
        yield
        return
    before = termios.tcgetattr(0) if os.isatty(0) else None
    try:
        yield
    finally:
        if before:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
