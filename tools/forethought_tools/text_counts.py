"""How many words, sentences and so on a text has, in whatever script. Done in a process of its own: see `worker`."""

__all__ = ["counted"]

from collections import Counter
from collections.abc import Sequence

import regex  # type: ignore[import-untyped]  # it has no types

from forethought_tools.tool import JSON

_MOST_FREQUENT = 10
_LONGEST_SHOWN = 100  # characters of a word
# Where words are not set apart by spaces, each character counts as one, as word processors count.
_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}"
_BETWEEN_SPACES = regex.compile(rf"[{_ALONE}]|[^\s{_ALONE}]+")
_LETTER = regex.compile(r"[\p{L}\p{N}]")
_EDGES = regex.compile(r"^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$")
_PARAGRAPH = regex.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")
_ABBREVIATED = r"(?<!\b(?:\p{Lu}|Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e)\.)"
_CLOSING = r"[\"'\u201d\u2019\u00bb)\]]"
_OPENING = r"[\"'\u201c\u2018\u00ab(\[]"
_ENDED = r"(?<=[\u3002\uff01\uff1f])"  # in Chinese and Japanese no space follows
_SENTENCE = regex.compile(
    rf"(?<=[.!?\u2026]{_CLOSING}{{0,3}}){_ABBREVIATED}\s+(?={_OPENING}{{0,3}}[\p{{Lu}}\p{{Lt}}\p{{Lo}}\p{{N}}])|{_ENDED}"
)


def counted(texts: Sequence[str]) -> Sequence[JSON]:
    """The counts of each of several texts, and its longest and most frequent words."""
    return [_counts(text.replace("\r\n", "\n").replace("\r", "\n")) for text in texts]


def _counts(text: str) -> JSON:
    found = [word for word in _BETWEEN_SPACES.findall(text) if _LETTER.search(word)]
    bare = [_EDGES.sub("", word) for word in found]
    blocks: Sequence[str] = [block for block in _PARAGRAPH.split(text) if block.strip()]
    sentences = sum(bool(_LETTER.search(part)) for block in blocks for part in _SENTENCE.split(block))
    frequent = Counter(word.casefold() for word in bare).most_common(_MOST_FREQUENT)
    return {
        "words": len(found),
        "lines": text.count("\n") + (text != "" and not text.endswith("\n")),
        "characters": len(text),
        "sentences": sentences,
        "paragraphs": len(blocks),
        "longest": max(bare, key=len, default="")[:_LONGEST_SHOWN],
        "frequent": [{"word": word[:_LONGEST_SHOWN], "count": count} for word, count in frequent],
    }
