"""Which files a goal asks for: to be there afterwards, to be gone, to be moved. Only what it says beyond doubt counts.

A sentence with a condition or a negation asks for nothing here: what it asks depends on more than its words. So does a
goal in another language than English.
"""

__all__ = ["Wishes", "file_names", "wishes_of", "word_set"]

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Cut into words first, and each is looked at from its beginning: the work is linear in the goal, whatever it holds.
_WORD = re.compile(r"[\w./@:'\u2019-]+|[,;!?\n]")
_FILE_NAME = re.compile(r"(?:\./|/)?(?:[\w-]+/)*[\w-]+(?:\.[\w-]+)*\.[A-Za-z]\w{0,7}(?![\w/'\u2019:@])")


def word_set(text: str) -> frozenset[str]:
    """The words of a text, each once."""
    return frozenset(text.split())


_ENDINGS = word_set(
    "cfg conf css csv docx htm html ini json jsonl log md ndjson parquet pdf py rst sh sql sqlite svg tex toml tsv txt"
    " xlsx xml yaml yml"
)
_UNSURE = word_set(
    "if unless whether when would could should might not don't don\u2019t never without no cannot can't except instead"
)
_CREATING = word_set("write create make produce generate output draft")
_KEEPING = _CREATING | word_set("save store put export record convert")
_DELETING = word_set("delete remove erase")
_MOVING = word_set("rename move")
_VERBS = _KEEPING | _DELETING | _MOVING
_BETWEEN = word_set("a an the file files new old and then , both also called named")
_KINDS = word_set("short text report table csv markdown html json document page note summary list")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The files that a goal asks for, each once, as it writes them."""

    there: Sequence[str] = ()
    gone: Sequence[str] = ()
    moved: Sequence[tuple[str, str]] = ()
    """From where, and to where: a file, or the folder that it is in afterwards."""


def file_names(text: str) -> list[str]:
    """What in a text is the name of a file of a usual kind, in order, each once."""
    return list(dict.fromkeys(name for word in _WORD.findall(text) if (name := _name(word))))


def wishes_of(goal: str) -> Wishes:
    """What a goal asks for."""
    there: list[str] = []
    gone: list[str] = []
    moved: list[tuple[str, str]] = []
    for sentence in _sentences(goal):
        if not _UNSURE & {word.lower() for word in sentence}:
            _read(sentence, there, gone, moved)
    there = [name for name in dict.fromkeys(there) if name not in gone]
    return Wishes(there, list(dict.fromkeys(gone)), moved)


def _sentences(goal: str) -> Iterator[list[str]]:
    sentence: list[str] = []
    for word in _WORD.findall(goal):
        if word in ";!?\n":
            yield sentence
            sentence = []
            continue
        sentence.append(word.rstrip(".:"))
        if word.endswith((".", ":")):
            yield sentence
            sentence = []
    yield sentence


def _read(sentence: Sequence[str], there: list[str], gone: list[str], moved: list[tuple[str, str]]) -> None:
    verb, since, role, waiting = "", list[str](), "", ""
    for word in sentence:
        lower = word.lower()
        if lower in _VERBS:
            verb, since, role = lower, [], ""
            continue
        name = _name(word) or (word if waiting and word.endswith("/") else "")
        if not name:
            since.append(lower)
            continue
        role = _role(verb, since, role)
        if role == "from":
            waiting = name
        elif role == "to" and waiting:
            moved.append((waiting, name))
            waiting = ""
        elif role == "there":
            there.append(name)
        elif role == "gone":
            gone.append(name)
        since = []


def _role(verb: str, since: Sequence[str], before: str) -> str:
    """What a name is, by the words that stand between it and the verb, or the name before it, whose role is given."""
    last = next((word for word in reversed(since) if word not in _BETWEEN), "")
    direct = all(word in _BETWEEN for word in since)
    if verb in _MOVING:
        return "from" if direct and not before else "to" if last in ("to", "into", "as") else ""
    if before:
        # A list of names goes on, unless something else begins.
        return before if direct and before in ("there", "gone") else "there" if _names_output(verb, last) else ""
    if verb in _DELETING:
        return "gone" if direct else ""
    if verb in _CREATING and all(word in _BETWEEN | _KINDS for word in since):
        return "there"
    return "there" if _names_output(verb, last) else ""


def _names_output(verb: str, last: str) -> bool:
    return last == "into" or (verb in _KEEPING and last in ("to", "in", "as"))


def _name(word: str) -> str:
    found = _FILE_NAME.match(word)
    return found[0] if found and found[0].rpartition(".")[2].lower() in _ENDINGS else ""
