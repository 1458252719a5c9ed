"""What a goal wishes for by its verbs, and which tools take that up: a table, by kind."""

__all__ = ["judges", "unmet", "works_out"]

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forethought_patterns.goal import Goal
from forethought_patterns.plan import Plan, Step
from forethought_tools import Fault, Registry
from forethought_tools.text import as_text

_ANYTHING = frozenset({"run_command", "delegate"})  # who could do whatever a goal says
_WRITERS = frozenset({"write_file", "write_table", "append_file", "edit_file"})
_MODELS = frozenset({"write", "analyze"})
_OTHERS = frozenset({"read_file", "list_files", "fetch_url", "web_search", "tell", "wait", "make_folder", "copy_file"})
_WORDED = 8  # words of a call that saves more than a result
_THINGS = frozenset(
    {"line", "lines", "row", "rows", "word", "words", "character", "characters", "files", "entries", "records", "times"}
    | {"columns", "occurrences"}
)
_NO_SUM = frozenset({"column", "columns", "field", "fields", "header", "row", "rows", "is", "was", "line"})
_SUM = frozenset({"sum", "total", "average", "mean", "median", "deviation"})
_DOUBLES = frozenset({"duplicates", "doubles", "duplicate", "double"})
_NEW_WORDS = ("translate", "paraphrase", "proofread", "rephrase", "reword", "compose", "draft")
_NO_OBJECT = frozenset(
    {"in", "of", "from", "for", "into", "and", "or", "as", "with", "is", "are", "by", "on", "per", "where"}
)
_ADDRESSES = frozenset({"address", "addresses", "column", "field", "list", "template"})


@dataclass(frozen=True)
class Wish:
    """One kind of thing that goals ask for."""

    what: str
    """As in: the goal asks to ..."""
    said: Callable[[Goal], bool]
    tools: frozenset[str]
    """One of these takes it up."""
    words: tuple[str, ...] = ()
    """Beginnings of words by which a model can be asked for it, where no file of rows is at hand."""

    def is_taken_up(self, step: Step, goal: Goal) -> bool:
        if step.tool in self.tools or step.tool in _ANYTHING or step.tool not in _OURS:
            return True
        said = as_text(step.arguments).lower()
        if self.tools >= _MODELS:  # whoever made the plan may have worded it already, or looks it up
            return (step.tool in _WRITERS and len(said.split()) > _WORDED) or " join " in said
        return step.tool in _MODELS and not goal.has_data and any(word in said for word in self.words)


def unmet(goal: Goal, plan: Plan, tools: Registry) -> list[Fault]:
    """What the goal asks to do, and no step takes up."""
    return [
        Fault("plan", f"the goal asks to {wish.what}, and no step does", f"Add a step with {_among(wish.tools, tools)}")
        for wish in _WISHES
        if wish.said(goal) and not any(wish.is_taken_up(step, goal) for step in plan.steps)
    ]


def works_out(goal: Goal) -> bool:
    """Whether a goal asks for what SQL does, and for nothing that only a model can judge."""
    return any(word in _WORKED_OUT for word in goal.words) and not judges(goal)


def judges(goal: Goal) -> bool:
    """Whether a goal asks for wording, or for a judgement."""
    return any(word.startswith(_JUDGED) for word in goal.words)


def _among(names: frozenset[str], tools: Registry) -> str:
    known = [name for name in sorted(names | {"run_command"}) if name in tools]
    return " or ".join(known) or "a tool that can do it, or say that there is none"


def _verb(*verbs: str) -> Callable[[Goal], bool]:
    return lambda goal: goal.does(frozenset(verbs))


def _of_files(verbs: Sequence[str], done: Sequence[str]) -> Callable[[Goal], bool]:
    """Said of files, and not of what is in them: `delete old.md`, not `delete the last row of a.csv`."""

    def said(goal: Goal) -> bool:
        return any(
            (goal.says(at, *verbs) and goal.is_of_files(at))
            or (word in done and goal.is_to_be(at) and not goal.denied(at))
            for at, word in enumerate(goal.words)
        )

    return said


def _wants_count(goal: Goal) -> bool:
    """Lines, rows, words; not what a text says, such as how many days of leave somebody has."""
    words = goal.words
    return any(
        (goal.says(at, "count") and not {"up", "down", "on", "to"} & set(words[at + 1 : at + 2]))
        or (words[at : at + 2] == ("how", "many") and _is_counted(goal, at + 2))
        for at in range(len(words))
    )


def _is_counted(goal: Goal, at: int) -> bool:
    return goal.has_data or bool(_THINGS & set(goal.words[at : at + 3]))


def _wants_sum(goal: Goal) -> bool:
    """Numbers out of rows; not the total that stands on an invoice, or a column of that name."""
    words = goal.words
    if not goal.has_data:
        return False
    return any(
        goal.says(at, "sum", "total", "average", "tally")
        or (goal.says(at, "add") and words[at + 1 : at + 2] == ("up",))
        or (word in _SUM and not goal.denied(at) and not _NO_SUM & set(words[at + 1 : at + 2]) and _is_worth(goal, at))
        for at, word in enumerate(words)
    )


def _is_worth(goal: Goal, at: int) -> bool:
    """Whether a word such as `mean` is a number of something: `the mean temperature per station`."""
    means = goal.words[at] == "mean" and bool({"does", "do", "you", "i", "we"} & set(goal.words[max(0, at - 4) : at]))
    return not means and bool({"of", "per", "by", "each", "for", "in"} & set(goal.words[at + 1 : at + 7]))


def _wants_order(goal: Goal) -> bool:
    read = bool(goal.brief.files)
    return read and any(
        goal.says(at, "sort") or word in ("alphabetically", "sorted") for at, word in enumerate(goal.words)
    )


def _wants_single(goal: Goal) -> bool:
    return any(
        goal.says(at, "deduplicate", "dedupe")
        or (goal.says(at, "remove", "drop", "delete", "eliminate") and bool(_DOUBLES & _after(goal, at)))
        for at in range(len(goal.words))
    ) and bool(goal.brief.files)


def _after(goal: Goal, at: int) -> set[str]:
    return set(goal.words[at + 1 : at + 4])


def _is_noun(goal: Goal, at: int) -> bool:
    """`their name and email in unpaid.csv`: whom or what is mailed would come next."""
    return not _NO_OBJECT.isdisjoint(goal.words[at + 1 : at + 2]) or at + 1 == len(goal.words)


def _wants_mail(goal: Goal) -> bool:
    """`Mail it to Bo`, `send the result to a@b.example`; not `list the mails`, `send` in a sentence about a letter."""
    return any(
        (goal.says(at, "mail", "email", "e-mail") and not _ADDRESSES & _after(goal, at) and not _is_noun(goal, at))
        or (goal.says(at, "send") and bool({"mail", "email", "e-mail"} & set(goal.words)))
        or (goal.says(at, "send") and any("@" in word for word in goal.words))
        for at in range(len(goal.words))
    )


_COUNTERS = frozenset({"query_table", "text_stats", "calculate", "search_files", "compare", "list_files"})
_TABLES = frozenset({"query_table"})
_WISHES = (
    # files
    Wish(
        "delete a file",
        _of_files(("delete", "remove", "erase", "trash"), ("deleted", "removed", "erased")),
        frozenset({"delete_file", "move_file"}),
    ),
    Wish(
        "rename or move a file",
        _of_files(("rename", "move"), ("renamed", "moved")),
        frozenset({"move_file", "delete_file"}),
    ),
    Wish("copy a file", _of_files(("copy",), ("copied",)), _WRITERS | {"copy_file", "move_file"}),
    # words
    Wish("word something anew", _verb(*_NEW_WORDS), _MODELS),
    Wish("sum something up in words", _verb("summarise", "summarize"), _MODELS | _TABLES),
    Wish("rewrite something", _verb("rewrite"), _MODELS | _TABLES | {"edit_file"}),
    # numbers and rows
    Wish("count", _wants_count, _COUNTERS),
    Wish("work out numbers", _wants_sum, frozenset({"query_table", "calculate", "text_stats"})),
    Wish("sort", _wants_order, _TABLES, ("sort", "order", "alphabet")),
    Wish("remove what is there twice", _wants_single, _TABLES, ("duplicate", "double", "unique", "once", "distinct")),
    # others
    Wish("send mail", _wants_mail, frozenset({"send_email"})),
)
_OURS = _OTHERS.union(_WRITERS, _MODELS, *(wish.tools for wish in _WISHES))
_WORKED_OUT = frozenset(
    {
        "convert",
        "join",
        "merge",
        "filter",
        "sort",
        "sorted",
        "sum",
        "average",
        "mean",
        "total",
        "median",
        "count",
        "per",
    }
    | {"deduplicate", "duplicates", "group", "largest", "biggest", "highest", "lowest", "smallest", "missing", "top"}
)
_JUDGED = (
    *("translat", "categor", "classif", "label", "tag", "judg", "rate", "rating", "sentiment", "extract", "suggest"),
    *("improv", "rewrit", "descri", "summar", "explain", "guess", "draft", "generat", "invent", "word", "rephras"),
)
