"""Planning: a goal becomes a plan that is kept, and nothing is executed."""

__all__ = ["PLANNING", "GoalOptions", "brief_options", "is_told_by_its_plan", "start"]

from collections.abc import Mapping, Sequence

from pydantic import Field

from forethought.engine.kinds.kind import Caller, Creator, Ending, Kind, Options, Progress, Work
from forethought.engine.kinds.look import Look, View
from forethought.engine.plan_views import making_of, plan_view
from forethought.journal.codec import plan_body
from forethought.journal.database import new_id
from forethought.journal.queries import Queries
from forethought.journal.rows import Fact, RunRow
from forethought_patterns import Brief, Recipe, make_plan
from forethought_patterns.lints import lints
from forethought_patterns.planner import doubt
from forethought_tools import JSON


class GoalOptions(Options):
    """What a planner was told when the run began, so that a resumed run reads its answer in the same way."""

    context: str = ""
    files: Mapping[str, str] = Field(default_factory=dict[str, str])
    new_files: Sequence[str] = ()
    lessons: Sequence[str] = ()
    names: Sequence[str] = ()
    recipes: Sequence[Recipe] = ()

    def wanted(self) -> Mapping[str, JSON]:
        # What a planner is told beside it changes with the files.
        return self.model_dump(mode="json", include={"goal", "context", "folders", "terms"})

    def brief(self) -> Brief:
        return Brief(
            self.goal, self.context, self.files, self.new_files, self.lessons, names=self.names, recipes=self.recipes
        )


async def brief_options(creator: Creator, goal: str, context: str) -> GoalOptions:
    """The options of a run that has to plan a goal."""
    brief = await creator.brief(goal)
    return GoalOptions(
        goal=goal,
        context=context,
        files=brief.files,
        new_files=brief.new_files,
        lessons=brief.lessons,
        names=brief.names,
        recipes=brief.recipes,
    )


async def start(creator: Creator, goal: str, context: str, caller: Caller | None = None) -> RunRow:
    """Start to make a plan. The run's `plan` is the id that the plan will have."""
    options = await brief_options(creator, goal, context)
    return await creator.create(PLANNING, options, plan_id=new_id("plan"), caller=caller)


def is_told_by_its_plan(run: RunRow) -> bool:
    """Whether it has brought a plan, which tells all that there is to tell."""
    return run.kind == PLANNING.name and run.state == "succeeded"


async def _drive(work: Work[GoalOptions]) -> Ending:
    recorder = work.recorder
    brief, tools = work.options.brief(), work.records.tools
    plan = await make_plan(brief, tools, recorder, slot=recorder.slot)
    confidence = await doubt(plan, recorder, slot=recorder.slot)
    found = list(map(str, await lints(plan, brief, tools)))
    body = plan_body(work.run.plan, plan, folders=work.options.folders, confidence=confidence, advice=found)
    return Ending(facts=[Fact("plan_saved", body)])


def _progress(_queries: Queries, _run: RunRow) -> Progress:
    return Progress(0, 0, "making the plan")


def _view(look: Look) -> View:
    if is_told_by_its_plan(look.run):
        row = look.records.queries.plan(look.run.plan)
        return {**plan_view(look.records, row), **look.usage()}
    return {"plan_id": look.run.plan, **look.head(making_of(look.waiting)), **look.trouble(), **look.tail()}


def _next(_: Look) -> str:
    return 'create_plan(goal="...", steps=[...]) with a clearer goal, or with steps of your own'


PLANNING = Kind(
    name="planning",
    options=GoalOptions,
    drive=_drive,
    progress=_progress,
    view=_view,
    next=_next,
    listed=lambda run: not is_told_by_its_plan(run),
)
