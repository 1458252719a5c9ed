"""A model's reasoning, where it stands in the middle of what the model says: it is no part of the answer."""

__all__ = ["spoken"]

import re

_NAME = r"(?:[a-z]+:)?(?:ant)?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|(?:inner|internal)_?monologue)"
# Quoted, a tag is only spoken of.
_TAG = re.compile(
    rf"""(?<![`"'])(?:
        <[ ]?(?P<slash>/?)[ ]?{_NAME}(?:\s[^<>]{{0,200}})?>
      | \[(?P<closes>/?)(?:THINK(?:ING)?|THOUGHTS?|REASONING)\]
      | <\|(?:(?P<ends>end_(?:of_)?|/)|begin_(?:of_)?|start_(?:of_)?|)(?:{_NAME})\|>
      | ◁(?P<kimi>/?)think(?:ing)?▷
      | (?:<\|start\|>assistant)?<\|channel\|>\s?(?:(?P<final>final)|analysis|commentary)[^<]{{0,200}}
        (?:<\|constrain\|>[^<]{{0,200}})?<\|message\|>
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_DOCUMENT = re.compile(r"\s*(?:<\?xml|<!doctype|<html|```)", re.IGNORECASE)
_MOST = 50  # blocks at the end of a text
_TURN_ENDS = ("<|end|>", "<|return|>", "<|im_end|>", "<|eot_id|>")


def spoken(text: str) -> str:
    """What a text says outside of its reasoning.

    That is what stands behind the last block of reasoning, which may lack its opening or its closing tag. Where nothing
    stands there, it is what stands before the blocks.
    """
    text = text.strip().lstrip("\ufeff")
    while text.endswith(_TURN_ENDS):
        text = text[: text.rindex("<|")].rstrip()
    tags = [] if _DOCUMENT.match(text) else list(_TAG.finditer(text))
    end = len(text)
    if not tags:
        return text
    for _ in range(_MOST):
        ends = max((number for number, tag in enumerate(tags) if _closes(tag)), default=-1)
        end = tags[ends + 1].start() if ends + 1 < len(tags) else end
        if said := text[tags[ends].end() if ends >= 0 else 0 : end].strip():
            return said
        if ends < 0 or (begins := _opening(tags, ends)) is None:
            return ""
        end, tags = tags[begins].start(), tags[:begins]
    return ""


def _opening(tags: list[re.Match[str]], ends: int) -> int | None:
    """Which tag opens the block that this one closes."""
    depth = 0
    for number in range(ends, -1, -1):
        depth += 1 if _closes(tags[number]) else -1
        if not depth:
            return number
    return None


def _closes(tag: re.Match[str]) -> bool:
    return any(tag.groupdict().values())
