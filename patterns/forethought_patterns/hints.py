"""What a goal says of the form of its results, held against a plan: a number that no step uses, and in SQL "per month"
where no month is taken of a date, "the best of each" where all are kept, an order, a limit, a rounding.

It is told from English words, and so is a guess: a small planner is asked again. What it stays with stands, and
what is still hinted at is told as not verified.
"""

__all__ = ["guesses", "hints"]

import re
from collections.abc import Iterator, Mapping, Sequence

from forethought_patterns.column_names import wanted_columns
from forethought_patterns.plan import Plan, Step
from forethought_tools import Fault, Registry
from forethought_tools.text import as_text

_PLAIN = (
    "read_file",
    "list_files",
    "tell",
    "wait",
    "write",
    "analyze",
    "fill_template",
)  # nothing to misunderstand, or told already
_WRITTEN = ("content", "rows", "new", "subject", "body")
_REFERENCE = re.compile(r"\{\{[^{}]*\}\}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_READ = 2_000  # characters of a goal
_MOST = 4
_SQL = 20_000  # of all SQL of a plan
_FILE = re.compile(r"(?<![\w.])[\w/*-]*\.[A-Za-z]\w{0,7}\b|https?://\S+|\"[^\"]*\"")
_ASIDE = re.compile(r"\([^()\n]*\)|\b(?:like|such as|e\.g\.|for example)\s+\"?\S+")  # examples stand there
_SAME_COLUMNS = re.compile(
    r"\b(?:the )?(?:same|all|other|all the|its) columns\b|\bcolumns otherwise\b|\bwith all its columns\b"
)
_ALL = re.compile(r"\*|\bselect\s+(?:distinct\s+)?[\w.\"]+(?:\s*,\s*[\w.\"]+){2,}")
_NUMBER = re.compile(r"(?<![\w.,-])\d{1,12}(?:[.,]\d+)?(?![\w-]|[.,]\d)")
_RATE = re.compile(
    r"(?<![\w.,-])(\d{1,9}(?:[.,]\d{1,4})?) ?(?:[^\W\d_]+|[€$£%]) (?:per|a|an|each|every|for each|for every) [a-z]+"
)
_SAID = ("tell", "write_file", "append_file", "write", "analyze")
_DATE = re.compile(r"(?<![\w-])\d{4}-\d\d(?:-\d\d)?(?![\w-])")
_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SPELLED = {word: str(number) for number, word in enumerate(_WORDS, start=2)}
_HOW_MANY = rf"(\d{{1,3}}|{'|'.join(_SPELLED)})"
_EACH = r"\b(?:per|each|every|by|for each|for every)\s+(?:calendar\s+)?"
_SUMMED = "(?:sum|total|average|mean|count|number|figure|overview|report|summar|amount|value|breakdown|revenue|sale)"
_UNITS: Mapping[str, tuple[str, str]] = {
    "month": (r"month|%m|%b|\[:7\]|, ?7\)", "strftime(date, '%Y-%m') AS month"),
    "year": (r"year|%y|, ?4\)", "year(date) AS year"),
    "quarter": (r"quarter", "quarter(date) AS quarter"),
    "week": (r"week|%w|%v", "week(date) AS week"),
    "weekday": (r"weekday|dayname|dayofweek|dow\b|%a|%w|%u", "dayname(date) AS weekday"),
    "hour": (r"hour|%h|, ?13\)|, ?2\)", "hour(time) AS hour"),
}
_BEST = (
    r"(?:most|least|fewest|highest|lowest|best|worst|fastest|slowest|largest|biggest|smallest|longest|shortest"
    r"|cheapest|newest|latest|oldest|earliest|heaviest|dearest|most expensive)"
)
_ONE_OF_EACH = re.compile(
    rf"(?<!at )\b{_BEST}\b(?![^.,;:?!\n]*\bfirst\b)[^.;:?!\n]{{0,60}}\b(?:each|every|per|for each)\b"
)
_EACH_HAS_ONE = re.compile(rf"\b(?:each|every)\b[^.,;:?!\n]{{0,40}}\b{_BEST}\b(?![^.,;:?!\n]*\bfirst\b)")
_FEW_OF_EACH = re.compile(rf"\b{_HOW_MANY}\s+(?:\w+\s+)?{_BEST}\b[^.;:?!\n]{{0,40}}\b(?:each|every|per|for each)\b")
_RANKS = re.compile(r"\b(?:row_number|rank|dense_rank)\b")
_ADDED = re.compile(
    r"\badd(?:ing)? (?:a |an |another |one |the )?(?:new |further )?column (?:called |named )?\"?"
    r"(?!(?:with|for|of|in|to|on|at|by|as|and|or|that|which|where|who|what|how|the|a|an|from|after|before|show|tell|say|\w+ing)\b)"
    r"([a-z_]\w{1,40})"
)
_PICKS = re.compile(
    r"\b(?:max|min|max_by|min_by|arg_max|arg_min|row_number|rank|dense_rank|first|last)\b|distinct on|qualify"
)
_DOWN = re.compile(
    r"\b(?:most|highest|biggest|largest|longest|newest|latest|best|heaviest|most \w+(?: \w+)?) first\b|\bdescending\b"
    r"|\bfrom (?:the )?(?:most|high|expensive|big|large|long|new|heavy|late|dear)\w* (?:\w+ )?to\b"
)
_UP = re.compile(
    r"\b(?:least|lowest|smallest|shortest|oldest|earliest|cheapest|fewest) first\b|\bascending\b|\balphabetical"
    r"|\bfrom (?:the )?(?:least|low|cheap|small|short|old|light|early)\w* (?:\w+ )?to\b"
)
_LIMITED = re.compile(rf"\b(?:top|the|which|first)\s+{_HOW_MANY}\s+(?:\w+\s+){{0,2}}?{_BEST}\b|\btop\s+{_HOW_MANY}\b")
_LIMIT = re.compile(r"\blimit (\d{1,6})[\s;]*$")
_ROUNDED = re.compile(r"\brounded\b|\bround (?:it|them|to|the|all)\b|\bdecimals?\b|\bdecimal places?\b")
_ROUNDS = re.compile(r"round|%\.\d|decimal|format|printf|:\.\d")
_ONCE = re.compile(
    r"\b(?:no|without|remove|drop) (?:any )?(?:duplicates|doubles|repeats)\b|\bdeduplicat"
    r"|\b(?:each|every)\b(?: \w+){0,3} (?<!at )once\b"
)
_SINGLE = re.compile(r"distinct|group by|union\b(?! all)|row_number|qualify")
_ANY_CASE = re.compile(
    r"\bcase[- ]insensitive|\bcase does(?: not|n't) matter|\bupper\W+(?:and|or)?\W*lower|\bignor\w+ (?:the )?case"
)
_FOLDS = re.compile(r"lower|upper|ilike|collate|nocase|\(\?i\)|'i'")

_TOTAL = re.compile(
    r"\b(?:the|in|grand|overall) (?:grand |overall )?total\b(?! (?:column|field))|\btotal \w+ (?:of|in|for)\b"
    r"|\b(?:add|sum|adding|summing) up\b|\baltogether\b|\bsum of\b"
)
_NUMBER_OF = re.compile(r"\bnumber of (?!days|hours|minutes|seconds|weeks|months|years|times)(\w+)")
_DAYS = re.compile(r"\b(?:number of|how many) days\b|\bdays (?:late|overdue|left|old|past)\b")
_DAYS_APART = re.compile(
    r"date_?diff|date *-|days\s*\(|julian|datesub|date_sub|age\s*\(|\bday\b|- *(?:date|cast|\w*date|\w*day)|\bdays\b"
)
_NONE_TOO = re.compile(
    r"\b(?:also|including|even|or)\b[^.;:\n]{0,40}\b(?:never|nothing|none|no|without|zero|not)\b"
    r"|\(0\)|\b(?:as|with) (?:a )?0\b"
)
_OUTER = re.compile(r"\bleft\b|\bright\b|\bfull\b|\bouter\b|\bnot in\b|\bnot exists\b|\bexcept\b")
_COUNTS = re.compile(r"count|length|\bsum\(\s*(?:1|case)\b")
_NO_COLUMNS = re.compile(r"'[^']*'|\b(?:from|join)\s+\S+")
_THAN = re.compile(
    r"(?<!no )(?<!not )\b(?:fewer|less|more|higher|lower|greater|older|longer|larger|bigger|smaller|cheaper) than"
    r"(?! (?:\w+ ){0,3}(?:words?|lines?|sentences?|characters?|paragraphs?)\b)"
)
_CHOOSES = re.compile(r"\b(?:where|having|filter|case|qualify|join|limit|except)\b|[<>]")
_AVERAGE = re.compile(r"\b(?:average|averages|mean|on average)\b")
_AVERAGES = re.compile(r"avg|mean|median|average|/")
_SUMS = re.compile(r"sum|total\w*\(|reduce|count|cube|rollup|\+")


def hints(plan: Plan) -> list[Fault]:
    """What the goal says, and no step seems to do."""
    sql = "\n".join(str(step.arguments.get("sql", "")) for step in plan.steps).lower()[:_SQL]
    goal = _FILE.sub(" ", plan.goal[:_READ]).lower()
    calls = " ".join(as_text(step.arguments) for step in plan.steps)[:_SQL]
    form = (
        [*_columns(plan.goal, sql), *_added(goal, sql), *_of_form(goal, sql), *_unit(goal, sql)] if sql.strip() else []
    )
    worked = " ".join(as_text(step.arguments) for step in plan.steps if step.tool not in _SAID)[:_SQL]
    found = list(dict.fromkeys([*form, *_unused(goal, calls), *_rates(goal, worked)]))[:_MOST]
    return [Fault("plan", f"the goal says {said!r}, and nothing does it", mend) for said, mend in found]


def guesses(plan: Plan, tools: Registry) -> list[str]:
    """What of a small planner's plan nobody can judge, each in a sentence: what it asks for, what it words itself, and
    what is hinted at. Its own verdict tells too little: it takes many a wrong query for right."""
    chosen = [s.id for s in plan.steps if tools.reads_only(s.tool) and s.tool not in _PLAIN and not s.check]
    known = {*_WORD.findall(f"{plan.goal} {plan.context}".lower())}
    worded = [s.id for s in plan.steps if not tools.reads_only(s.tool) and not {*_literal(s)} <= known]
    found = [f"step {_listed(chosen)}: a small model chose what to ask for there"] if chosen else []
    found += [f"step {_listed(worded)}: a small model worded what is written there"] if worded else []
    return [*found, *(hint.problem for hint in hints(plan))]


def _literal(step: Step) -> list[str]:
    """The words that a call itself writes, beside what results bring."""
    texts = [as_text(value)[:_SQL] for name, value in step.arguments.items() if name in _WRITTEN]
    return _WORD.findall(_REFERENCE.sub(" ", " ".join(texts)).lower())


def _listed(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps))


def _columns(goal: str, sql: str) -> Iterator[tuple[str, str]]:
    """A column that the goal lists, and no SQL names."""
    left = [name for name in wanted_columns(goal) if not re.search(rf"\b{name}\b", sql, re.IGNORECASE)]
    if left and "*" not in sql:
        yield f"column {left[0]}", f"Select it: ... AS {left[0]}"


def _added(goal: str, sql: str) -> Iterator[tuple[str, str]]:
    """A column that the goal wants beside those that are there."""
    if (added := _ADDED.search(goal)) and not re.search(rf"\b{added[1]}\b", sql):
        yield added[0], f"Select it: SELECT *, ... AS {added[1]}"


def _of_form(goal: str, sql: str) -> Iterator[tuple[str, str]]:
    one, few = _ONE_OF_EACH.search(goal) or _EACH_HAS_ONE.search(goal), _FEW_OF_EACH.search(goal)
    number = _SPELLED.get(few[1], few[1]) if few else "1"
    of_each = few or one
    if of_each and not (_RANKS if few else _PICKS).search(sql):
        kept = f"<= {number}" if few else "= 1"
        mend = f"QUALIFY row_number() OVER (PARTITION BY group ORDER BY value DESC) {kept}"
        yield of_each[0], f"Keep {number} of each: {mend}"
    _, ordered, by = sql.rpartition("order by")
    if (said := _DOWN.search(goal)) and not (ordered and "desc" in by):
        yield said[0], "End the SQL with ORDER BY ... DESC"
    elif (said := _UP.search(goal)) and (not ordered or "desc" in by):
        yield said[0], "End the SQL with ORDER BY ... without DESC"
    limited, cut = _LIMITED.search(goal), _LIMIT.search(sql)
    order = _DOWN.search(goal) or _UP.search(goal)
    if order and cut and not limited and cut[1] not in _numbers(goal):
        yield order[0], f"Leave {cut[0].upper()} out: all of them are wanted, in an order"
    if limited and not of_each:
        number = _SPELLED.get(limited[1] or limited[2], limited[1] or limited[2])
        if not re.search(rf"(?<!\d){number}(?!\d)", sql):
            yield limited[0], f"End the SQL with ORDER BY ... LIMIT {number}"
    if " join " in sql and not _OUTER.search(sql) and (alone := _NONE_TOO.search(goal)):
        yield alone[0], "Use LEFT JOIN, which keeps rows without a partner too, and COALESCE(SUM(x), 0)"
    counted = None if _COUNTS.search(sql) else _NUMBER_OF.search(goal)
    if counted and counted[1].removesuffix("s") not in _NO_COLUMNS.sub(" ", sql):  # a column may have that number
        yield counted[0], "Use COUNT(*), of all rows or of each group"
    for asks, does, mend in (
        (_SAME_COLUMNS, _ALL, "Select *, or * REPLACE (... AS column) where one changes"),
        (_DAYS, _DAYS_APART, "Use date_diff('day', begin, end) AS days"),
        (_THAN, _CHOOSES, "Keep only these rows: WHERE value < other"),
        (_AVERAGE, _AVERAGES, "Use AVG(value), of all rows or of each group"),
        (_TOTAL, _SUMS, "Use SUM(value), which makes one number of all rows, or one of each group"),
        (_ROUNDED, _ROUNDS, "Use round(value, 2), with the decimals that the goal names"),
        (
            _ONCE,
            _SINGLE,
            "Write UNION in place of UNION ALL" if "union all" in sql else "Use SELECT DISTINCT or GROUP BY",
        ),
        (_ANY_CASE, _FOLDS, "Compare lower(column)"),
    ):
        if (heard := asks.search(goal)) and not does.search(sql):
            yield heard[0], mend


def _numbers(goal: str) -> set[str]:
    """The whole numbers of a goal, also those in words."""
    return {_SPELLED.get(word, word) for word in map(str, re.findall(r"\w+", goal))}


def _unit(goal: str, sql: str) -> Iterator[tuple[str, str]]:
    """A part of a date by which is grouped."""
    for unit, (takes, mend) in _UNITS.items():
        said = re.search(rf"{_EACH}{unit}\b|\b{unit}ly\b(?=\s+{_SUMMED}|\s*$|\s*[.,;])", goal)
        if said and not re.search(takes, sql):
            yield said[0].strip(), f"Group by the {unit}: SELECT {mend}, ... GROUP BY {unit}"


def _unused(goal: str, calls: str) -> Iterator[tuple[str, str]]:
    """A number or a date of the goal that no call names, in whatever form a percentage takes there."""
    goal = _ASIDE.sub(" ", goal)
    for date in _DATE.findall(goal):
        if date not in calls:
            yield date, f"Use {date} in the SQL"
    said, rest = {_plain(each) for each in re.findall(r"\d+(?:\.\d+)?", calls)}, _DATE.sub(" ", goal)
    for found in _NUMBER.finditer(rest):
        number = float(found[0].replace(",", "."))
        is_share = re.match(r"\s*(?:%|per ?cent)", rest[found.end() : found.end() + 12])
        forms = [number, *((number / 100, 1 + number / 100, 1 - number / 100) if is_share else ())]
        if not said.intersection(map(_plain, map(str, forms))):
            yield found[0], f"Use {found[0]} where the goal needs it"


def _rates(goal: str, worked: str) -> Iterator[tuple[str, str]]:
    """A price or a speed that is only said, and nothing is worked out with it."""
    known = {_plain(each) for each in re.findall(r"\d+(?:\.\d+)?", worked)}
    for rate in _RATE.finditer(goal):
        if _plain(rate[1].replace(",", ".")) not in known:
            yield rate[0], "Work it out with calculate, and say its result"


def _plain(number: str) -> str:
    return f"{float(number):.6g}"
