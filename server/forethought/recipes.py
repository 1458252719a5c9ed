"""Which recipes are nearest to a goal: full-text search over their goals, what is done, and the kinds of files."""

__all__ = ["nearest", "words_of"]

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache

from forethought.journal.sqlite import ranked
from forethought_patterns import Recipe
from forethought_patterns.last_resort import PROSE
from forethought_patterns.recipe import library

_WORD = re.compile(r"[^\W_]+")
_NAME = re.compile(r"(?<!\S)\S*\w\.\w{1,8}\b|https?://\S+")  # from one place in a word only: else it is not linear
_ENDING = re.compile(r"[\w*]\.([A-Za-z]\w{0,7})\b")
_PATTERN = re.compile(r"(?<!\w)\*?\.[A-Za-z]\w{0,7}\b|\w\*|\*\w")
_TEXT = r"(?:file|letter|note|card|invitation|reminder|page|text)"
_MANY_FILES = re.compile(
    rf"\b{_TEXT}s?\b[^.;]{{0,30}}\b(?:(?:for|per|to|of) (?:each|every|all)\b|per (?!cent)[a-z]+)"
    rf"|\b(?:for|to) (?:each|every)\b[^.;]{{0,60}}?\b(?:a|one|its|their)(?: \w+)? {_TEXT}\b|\beach in (?:a|its) \w*file"
)
_SUM_UP = re.compile(r"\bsum(?:s|med)? up\b", re.IGNORECASE)
_ALIKE = {
    "db": "sqlite",
    "sqlite3": "sqlite",
    "htm": "html",
    "yml": "yaml",
    "jpeg": "jpg",
    "tsv": "csv",
    "ndjson": "jsonl",
}
_WEIGHTS = (1.0, 0.5, 0.7)  # of the goal's words, of what the recipe is for, and of kinds
_READ = 2000  # characters of a goal that are looked at: one expression is quadratic in a word without end

# Words that mean the same piece of work, without their endings.
_DOING: Mapping[str, str] = {
    "sum": "sum summ total add up altogether overall",
    "average": "average averag mean avg median",
    "spread": "spread deviation deviat std stddev stdev variance",
    "count": "count many often number frequent frequency common",
    "top": "top most best highest biggest largest longest heaviest expensive max maximum fastest",
    "low": "lowest least smallest cheapest worst bottom min minimum",
    "join": "join combine combin merge merg together match enrich lookup attach one single",
    "missing": "missing lack without never absent neither not",
    "filter": "filter only keep kept over under above below least more less than",
    "convert": "convert turn transform export dump format",
    "unique": "duplicate doubl double unique distinct once twice dedup dedupe repeat",
    "sort": "sort order alphabetic alphabetical alphabetically rank arrange",
    "group": "per each every by",
    "find": "find search grep where occur contain mention say",
    "extract": "extract pull collect grab pick out",
    "link": "url link",
    "address": "address email mail",
    "delete": "delete delet remove remov rid erase eras wipe throw away trash discard drop",
    "rename": "rename renam call named ending extension prefix suffix",
    "move": "move mov tidy clean organise organize folder directory subfolder sort",
    "copy": "copy copi backup",
    "edit": "edit replace replac change chang set bump update updat fix",
    "append": "append end entry below bottom diary log",
    "summary": "summary summaris summariz summarise summarize abstract gist brief short",
    "translate": "translate translat translation german french spanish italian english norwegian",
    "reword": "rewrite rewrit reword polite formal tone friendly correct spelling grammar",
    "template": "template placeholder blank fill form",
    "compare": "compare compar comparison differ different difference diff version change chang",
    "share": "percent percentage share proportion",
    "date": "date day deadline due until week year between since january february march april may june july august"
    " september october november december",
    "month": "month monthly quarter",
    "log": "log error warn warning fail debug",
    "source": "source code comment function python todo fixme",
    "database": "database sqlite table",
    "send": "mail email send",
    "web": "http https web page site internet online www",
    "command": "run command test execute curl check",
    "money": "invoice vat tax gross net bill",
    "task": "action task todo",
    "all": "all every each any everything",
    "running": "running cumulative cumulated accumulated",
    "new": "new create creat make mak",
    "backup": "backup copy safe",
    "tell": "tell what which who how",
}
_DONE_BY: Mapping[str, Sequence[str]] = {
    word: [what for what, words in _DOING.items() if word in words.split()]
    for word in {word for words in _DOING.values() for word in words.split()}
}
_SAY_NOTHING = (
    "a an and are as at be can could do for from get give has have i if in is it its me my need of on or our pls please"
    " put save so that the their them then there these they this those to us want was we were what which who will with"
    " would write you your file files into here"
)
_IDLE = frozenset(_SAY_NOTHING.split())
_ENDINGS = ("s", "es", "d", "ed", "e", "ing", "er", "ly")


def nearest(goal: str, files: Iterable[str], n: int, *, kept: Sequence[Recipe] = ()) -> list[Recipe]:
    """The recipes nearest to a goal that is about these files, at most `n`, the nearest first: ours and those kept."""
    files, known = list(files), [*kept, *library()]
    asked = _read(goal[:_READ], files)
    words = list(dict.fromkeys([*words_of(asked), *_kinds(asked, files)]))
    of_kept = [(at, text) for at, recipe in enumerate(kept) for text in _searched(recipe)]
    searched = [*of_kept, *((at + len(kept), text) for at, text in _ours())]
    near: dict[int, list[float]] = defaultdict(list)
    for place, worth in ranked([text for _, text in searched], _WEIGHTS, words):
        near[searched[place][0]].append(worth)
    return [known[place] for place in sorted(near, key=lambda place: -_worth(near[place]))][:n]


def _worth(near: Sequence[float]) -> float:
    """How near a recipe is by all its goals, the nearest first. One alone may be near by the things that it is about;
    a second one tells that the work is the same."""
    return near[0] + near[min(1, len(near) - 1)] / 2


@cache
def _ours() -> Sequence[tuple[int, Sequence[str]]]:
    return [(at, text) for at, recipe in enumerate(library()) for text in _searched(recipe)]


def _searched(recipe: Recipe) -> Iterator[Sequence[str]]:
    """What is searched of a recipe, for each of its goals: a part for each weight."""
    for said in (recipe.goal[:_READ], *recipe.also):
        goal = _read(said, recipe.files)
        yield [" ".join(words_of(goal)), recipe.about, " ".join(_kinds(f"{goal} {recipe.about}", recipe.files))]


def _read(goal: str, files: Collection[str]) -> str:
    """A goal in which no word means two things: texts are not added up."""
    is_prose = files and all(path.lower().endswith(PROSE) for path in files)
    return _SUM_UP.sub("summarise", goal) if is_prose else goal


def words_of(text: str) -> list[str]:
    """The words of a goal, without the names of files: those say nothing of what is done."""
    return [word for word in _WORD.findall(_NAME.sub(" ", text).lower()) if word not in _IDLE]


def _kinds(goal: str, files: Iterable[str]) -> list[str]:
    """Marks of what a goal does, of what it reads and how much, and of what it writes."""
    reads = [_ending(path.rpartition(".")[2]) for path in files]
    named = {_ending(ending) for ending in _ENDING.findall(goal)}
    doing = {what for word in _WORD.findall(_NAME.sub(" ", goal).lower()) for what in _done_by(word)}
    amount = ("reads0", "reads1", "reads2")[min(len(reads), 2)]
    made = sorted(named - {*reads})
    return [
        *sorted(f"do{what}" for what in doing),
        *(["pattern"] if _PATTERN.search(goal) else []),
        *(["manyfiles"] if _MANY_FILES.search(_NAME.sub(" ", goal[:_READ]).lower()) else []),
        amount,
        *sorted({f"from{kind}" for kind in reads}),
        *(f"into{kind}" for kind in made),
        *(f"from{kind}into{other}" for kind in sorted({*reads}) for other in made),
    ]


def _ending(text: str) -> str:
    return _ALIKE.get(text.lower(), text.lower())


@lru_cache(maxsize=5_000)  # the words of our own recipes come again and again
def _done_by(word: str) -> frozenset[str]:
    if word in _DONE_BY:
        return frozenset(_DONE_BY[word])
    stems = (word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending))
    return frozenset(what for stem in stems for what in _DONE_BY.get(stem, ()))
