"""The words of a goal, read narrowly: what is said as something to do, about what, and what is not to be done.

It is a guess from English words, and it guesses low: where they could mean something else, nothing is found.
"""

__all__ = ["FILE", "Goal"]

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from forethought_patterns.drafts import Brief
from forethought_patterns.goal_files import word_set

FILE = "(file)"
"""Stands for the name of a file, or a pattern of names, in the words of a goal."""
_READ = 20_000  # characters of a goal
_TOKEN = re.compile(r"\"[^\"\n]*\"|“[^“”\n]*”|`[^`\n]*`|[^\s,;:!?()\"“”`]+|[,;:!?()\n]")
_FILE_NAME = re.compile(r"\.?[\w~*/\\-][\w.~*/\\+-]*")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")
_ONLY_ENDING = re.compile(r"\*?\.[A-Za-z][A-Za-z0-9]{0,7}")
_LETTER = re.compile(r"\w")
_DATA = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".sqlite", ".sqlite3", ".db")
_STOPS = frozenset(",;:!?().\n-*\u2013\u2014\u2022")
_NOT = word_set("not never without avoid no nor cannot except unless nothing")
_SPARED = word_set("except leave keep like unlike not never without don't touch")
_NOW_AGAIN = word_set("but instead then just only")
_BEFORE = word_set(
    "and then please also just afterwards finally first next must should or now kindly lastly only second"
    " third but instead"
)
_MODALS = word_set("can could would will please should must shall")
_PERSONS = word_set("you i we")
_WANTING = word_set("want need like you me us wish have going help try is")
_ENDS_THING = word_set(
    "from in into out that which where whose to as with by on for if when and then or but under inside once"
    " after before named called without at so"
)
_AMOUNTS = word_set("all both each any some most every copies copy the a one none")
_TRAILING = word_set("afterwards too now please completely also entirely permanently again")
_FILES = word_set(f"{FILE} file files folder folders directory directories originals original")
_FOLDER = word_set("folder directory subfolder")
_BEFORE_FOLDER = _FOLDER | word_set("the a an new own called named")
_NO_FOLDER = (_AMOUNTS - {"copies"}) | word_set(
    "it them this that there here me us you place order upper lower case end start beginning top bottom front"
    " back left right side clipboard trash bin file files originals original"
)
_ENDS_SENTENCE = frozenset(".;!?\n")
_BARE_NAME = re.compile(r"[a-z0-9_][\w-]*")
_TELL = word_set("tell let show give")
_ASKING = _TELL | word_set(
    "count list find compare check describe explain analyse analyze calculate compute determine name identify"
    " search look say answer report read see verify"
)
_CHANGING = word_set(
    "save write store put create update append edit replace change fix make delete remove rename move copy"
    " send insert set turn convert export clean translate"
)
_QUESTIONS = word_set("what which how who when where why whose is are does do did")


@dataclass(frozen=True)
class Goal:
    """A goal as a person has said it."""

    brief: Brief

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its words in lower case, each stop by itself, names of files as `(file)`, without what is quoted."""
        return tuple(word for word, _ in self._read)

    @cached_property
    def has_data(self) -> bool:
        """Whether it names a file of rows."""
        return any(name.lower().endswith(_DATA) for name in self.brief.files)

    @cached_property
    def told(self) -> bool:
        """Whether somebody is to be told something: results that no step uses are answers then."""
        if any(
            self.says(at, *_TELL) and {"me", "us"} & set(self.words[at + 1 : at + 2]) for at in range(len(self.words))
        ):
            return True
        if self.brief.new_files:  # what was asked before is answered in the file
            last = max((at for at, (_, raw) in enumerate(self._read) if raw in self.brief.new_files), default=0)
            after = range(last + 1, len(self.words))
            return "?" in self.words[last:] or any(self.says(at, *_ASKING) for at in after)
        first = set(self.words[:1])  # `Could you delete a.txt?` is a wish, and no question
        asked = ("?" in self.words and not first & _MODALS) or bool(_QUESTIONS & first)
        return asked or self.does(_ASKING) or not self.does(_CHANGING)

    def does(self, verbs: frozenset[str]) -> bool:
        """Whether one of these verbs is something to do."""
        return any(self.says(at, *verbs) for at in range(len(self.words)))

    def says(self, at: int, *verbs: str) -> bool:
        """Whether the word here is one of these verbs, as something to do."""
        return self.words[at] in verbs and self._commands(at) and not self.denied(at)

    def denied(self, at: int) -> bool:
        """Whether what is said here is not to be, as in `do not delete` or `without duplicates`."""
        for word in reversed(self.words[max(0, at - 6) : at]):
            if word in _STOPS or word in _NOW_AGAIN:
                return False
            if word in _NOT or word.endswith("n't"):
                return True
        return False

    def spares(self, name: str) -> bool:
        """Whether a file is named only as one that is to stay as it is, or to be like."""
        places = [at for at, (_, raw) in enumerate(self._read) if raw == name]
        return bool(places) and all(self._clause(at) & _SPARED for at in places)

    @cached_property
    def endings(self) -> Sequence[str]:
        """The endings of files that it names, such as `.png`, and does not spare."""
        found = [raw.removeprefix("*").lower() for _, raw in self._read if _ONLY_ENDING.fullmatch(raw)]
        return [ending for ending in dict.fromkeys(found) if not (self.spares(ending) or self.spares(f"*{ending}"))]

    @cached_property
    def folders(self) -> Sequence[str]:
        """The folders, named by a bare word, that something is to be copied or moved into."""
        found, verb = list[str](), ""
        for at, word in enumerate(self.words):
            if word in _ENDS_SENTENCE:
                verb = ""
            elif self.says(at, word) and word in _CHANGING:
                verb = word
            elif word in ("into", "to") and verb in ("copy", "move"):
                found.append(self._place(at + 1))
        return [name for name in dict.fromkeys(found) if name]

    def _place(self, at: int) -> str:
        """The bare name of a folder here, if nothing else can be meant."""
        while at < len(self.words) and self.words[at] in _BEFORE_FOLDER:
            at += 1
        after = self.words[at + 1 : at + 2]
        is_name = at < len(self.words) and _BARE_NAME.fullmatch(self.words[at]) and self.words[at] not in _NO_FOLDER
        is_last = not after or after[0] in _STOPS | _FOLDER | _TRAILING | {"and", "then"}
        return self._read[at][1] if is_name and is_last else ""

    def is_of_files(self, at: int) -> bool:
        """Whether the verb here is about files, and not about what is in them."""
        return bool(_FILES & set(self._thing(at)[-1:]))

    def is_to_be(self, at: int) -> bool:
        """Whether this is done to files, as in `old files should be deleted`."""
        files, modal, be = self.words[at - 3 : at] if at >= 3 else ("", "", "")
        return files in _FILES and modal in _MODALS and be == "be"

    def _thing(self, at: int) -> list[str]:
        """What the verb here is about: the words up to a preposition or a stop."""
        found: list[str] = []
        for word in self.words[at + 1 : at + 13]:
            if word in _STOPS or word in _ENDS_THING or (word == "of" and not set(found) <= _AMOUNTS):
                break
            found.append(word)
        while found and found[-1] in _TRAILING:
            found.pop()
        return found

    def _clause(self, at: int) -> set[str]:
        """The few words before this one, back to the last stop."""
        before = list(self.words[max(0, at - 5) : at])
        stops = [place for place, word in enumerate(before) if word in _STOPS]
        return set(before[stops[-1] + 1 :] if stops else before)

    def _commands(self, at: int) -> bool:
        before, earlier = (["", "", *self.words[:at]])[-1], (["", "", *self.words[max(0, at - 2) : at]])[-2]
        if before == "to":
            return earlier in _WANTING
        if before in _PERSONS:
            return earlier in _MODALS
        return before in _STOPS or before in _BEFORE or before == ""

    @cached_property
    def _read(self) -> tuple[tuple[str, str], ...]:
        read: list[tuple[str, str]] = []
        for token in _TOKEN.findall(self.brief.goal[:_READ].replace("\u2019", "'")):
            name = _bare(token)
            if token in _STOPS:
                read.append((token, token))
            elif self._is_file(name):
                read.append((FILE, name))
                read += [("'s", "'s")] if token.endswith("'s") else []
            elif name and token[0] not in '"“`':
                read.append((name.lower(), name))
            if token not in _STOPS and token.endswith("."):
                read.append((".", "."))
        return tuple(read)

    def _is_file(self, name: str) -> bool:
        if name in self.brief.files or name in self.brief.new_files:
            return True
        if not _FILE_NAME.fullmatch(name) or name.lower() in ("e.g", "i.e", "a.m", "p.m") or not _LETTER.search(name):
            return False
        return bool(_ENDING.search(name)) or "*" in name or (name.endswith("/") and len(name) > 1)


def _bare(token: str) -> str:
    """A token without the quotes and stops around it. A dot before it stays, as in `.bak`."""
    return token.strip("\"'`,\u201c\u201d").rstrip(".'").removesuffix("'s")
