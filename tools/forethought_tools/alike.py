"""Names that look like other names: letters of two scripts in one word, letters in pieces, slashes that are none."""

__all__ = ["lookalikes"]

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import regex  # type: ignore[import-untyped]  # it has no types

from forethought_tools.tool import JSON
from forethought_tools.visible import visible

_MOST = 5  # names that are pointed out
_NAME = 60  # characters of a name that are shown
_SCRIPTS = ("Latin", "Cyrillic", "Greek", "Armenian", "Cherokee", "Hebrew", "Arabic", "Coptic", "Lisu", "Georgian")
_of_script = {name: regex.compile(rf"\p{{Script={name}}}") for name in _SCRIPTS}
_word = regex.compile(r"[\p{L}\p{M}\p{N}]+")
_leftward = regex.compile(r"[\p{Bidi_Class=R}\p{Bidi_Class=AL}]")
_part = regex.compile(r"[^\s\"'`()<>|;,]+")
_is_address = regex.compile(r"[\p{L}\p{N}][/.@:\\=]|[/\\~]|[/\\:]\Z")
# Letters of other scripts that are drawn like Latin ones, and signs that are drawn like those of paths and addresses.
_LIKE_LATIN = frozenset("аеорсухѕіјһԁԛԝӏьгАВЕКМНОРСТУХЅІЈԌԚԜαονικυρχϲΑΒΕΖΗΙΚΜΝΟΡΤΥΧօսոհցյ")
_LIKE_SIGNS = frozenset("∕⁄⧸╱⟋⼃〳․‧∙·ꓸ։׃꞉ː∶‐‑‒–—−⁃∼˜﹨∖⧵⧹＼～")  # noqa: RUF001 - they are what this is about


def lookalikes(value: JSON) -> list[str]:
    """What to look at closely in the names of files, addresses and commands of a value, a sentence for each name."""
    found = list(dict.fromkeys(_strange(value)))
    return found[:_MOST] + ([f"and {len(found) - _MOST} more names like these"] if len(found) > _MOST else [])


def _strange(value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        if not value.isascii():
            yield from _in_text(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strange(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _strange(each)


def _in_text(text: str) -> Iterator[str]:
    prose = "\n" in text
    parts = [match[0] for match in _part.finditer(text)]
    for part in parts:
        named = not prose and (len(parts) == 1 or _is_address.search(part) is not None)
        if not part.isascii() and (why := _why(part, named=named, prose=prose)):
            yield f"{visible(part[:_NAME])} {why}"


def _why(part: str, *, named: bool, prose: bool) -> str:
    words: list[str] = _word.findall(part)
    for word in words:
        scripts = [name for name, pattern in _of_script.items() if pattern.search(word)]
        if len(scripts) > 1:
            return f"mixes {' and '.join(scripts)} letters: {_letters(word)}"
    form: Literal["NFC", "NFKC"] = "NFKC" if named else "NFC"
    if not prose and any(word != unicodedata.normalize(form, word) for word in words):
        return f"can be written in another way that looks the same and is another name: {_letters(part)}"
    if not named:
        return ""
    if any(not word.isascii() and set(word) <= _LIKE_LATIN for word in words):
        return f"has letters that look like Latin ones and are not: {_letters(part)}"
    if signs := [char for char in part if char in _LIKE_SIGNS]:
        return f"has signs that look like those of paths and addresses and are not: {_letters(''.join(signs))}"
    return "has letters that are written from right to left: its parts may be shown in another order" * bool(
        _leftward.search(part)
    )


def _letters(text: str) -> str:
    """The first characters that are not ASCII, by number and name."""
    strange = [char for char in dict.fromkeys(text) if not char.isascii()]
    return ", ".join(f"U+{ord(char):04X} {unicodedata.name(char, 'without a name')}" for char in strange[:3])
