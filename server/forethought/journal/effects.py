"""What each kind of fact does to the rows: SQL that SQLite and PostgreSQL read alike."""

__all__ = ["ABSENT", "CONSTANTS", "EFFECTS", "Each", "Statement"]

from collections.abc import Mapping
from dataclasses import dataclass

from forethought.journal.rows import Pausing


@dataclass(frozen=True, slots=True)
class Each:
    """A statement done once for every element of a fact's list, which it calls `:each`."""

    of: str
    sql: str
    needed: bool = False
    """Whether it must change a row for each, else the fact is stale."""


Statement = str | Each

ABSENT: Mapping[str, None] = {"attempt": None, "highest": None, "revision": None}
"""What older journals do not say of some facts."""

CONSTANTS: Mapping[str, int] = {
    "no_pause": Pausing.NO,
    "pause_asked": Pausing.ASKED,
    "pause_lifted": Pausing.LIFTED,
}
"""Names that every statement may use, beside those of its fact."""

_USE_ANSWERS = "UPDATE message SET state = 'used' WHERE run = :run AND state = 'answered'"
_CLOSE_MESSAGES = "UPDATE message SET state = 'closed' WHERE run = :run AND state = 'open'"
_MESSAGE = (
    "INSERT INTO message (id, run, key, kind, step, body, state, asked, number) VALUES (:id, :run, :key, {kind}, :step,"
    " :body, '{state}', :at, (SELECT coalesce(max(number), 0) + 1 FROM message WHERE run = :run))"
)
_FREE = "DELETE FROM claim WHERE run = :run"
# What an agent outside is at work on stays claimed, whoever drives the run, or nobody.
_BUT_WORK = (
    " AND key NOT IN (SELECT 'step/' || step FROM message WHERE run = :run AND kind = 'order' AND state = 'open'"
    " AND step IS NOT NULL AND key LIKE 'step/%/agent%')"
)
_UNCHANGED = "UPDATE run SET state = state WHERE id = :run"
_IF_NOT_BEGUN = (
    "UPDATE step SET {change} WHERE run = :run AND id = :each AND dropped = 0 AND doubt = 0"
    " AND (state IN ({ended}) OR started IS NULL AND state IN ('pending', 'waiting')"
    " AND NOT EXISTS (SELECT 1 FROM message m WHERE m.run = :run AND m.step = :each AND m.kind = 'gate'"
    " AND m.state = 'answered'))"
)
_ANEW = "state = 'pending', attempt = attempt + 1, body = NULL, result = NULL, error = '', ended = NULL"
_WITHDRAWN = (
    "UPDATE message SET state = 'closed' WHERE run = :run AND step = :each AND state = 'open'"
    " AND kind IN ('gate', 'order')"
)
_NEW_STEPS = Each("steps", "INSERT INTO step (run, id) VALUES (:run, :each)")

EFFECTS: Mapping[str, tuple[Statement, ...]] = {
    "plan_saved": ("INSERT INTO plan VALUES (:plan, :revision, :goal, :body, :at)",),
    # Without an owner it is still to be claimed, by some server of a cluster.
    "run_created": (
        "INSERT INTO run (id, plan, kind, state, epoch, owner, options, revision, budget, created) SELECT"
        " :run, :plan, :kind, 'running', 1, nullif(:owner, ''),"
        " :options, :revision, :budget, :at"
        " WHERE :revision = 0 OR NOT EXISTS (SELECT 1 FROM plan WHERE id = :plan AND revision > :revision)",
        _NEW_STEPS,
    ),
    # By a call that is not to start a second one while this run is open.
    "call_begun": ("INSERT INTO started VALUES (:call, :run)",),
    "run_claimed": (
        "UPDATE run SET owner = :owner, epoch = epoch + 1, state = 'running',"
        " pausing = CASE pausing WHEN :pause_lifted THEN :no_pause ELSE pausing END"
        " WHERE id = :run AND coalesce(owner, '') = coalesce(:previous, '') AND state IN ('running', 'waiting')",
        # Approvals from before `oldest` have lapsed.
        "UPDATE message SET state = 'open', answer = NULL, by = '', channel = '', answered = NULL"
        " WHERE run = :run AND state = 'answered' AND approval = 1 AND answered < :oldest",
        _USE_ANSWERS,
        _FREE + _BUT_WORK,
    ),
    # A server that ends in good order says so. One that is killed, or hangs until it is, cannot.
    "run_left": ("UPDATE run SET state = state WHERE id = :run AND state = 'running'",),
    # A person wants a run to go on though its servers have died.
    "drive_asked": ("UPDATE run SET state = state WHERE id = :run AND ended IS NULL",),
    "run_parked": (
        "UPDATE run SET state = 'waiting', owner = NULL, seconds = seconds + :seconds"
        " WHERE id = :run AND state = 'running'",
        _FREE + _BUT_WORK,
    ),
    "run_ended": (
        "UPDATE run SET state = :state, answer = :answer, error = :error, ended = :at, owner = NULL,"
        " seconds = seconds + :seconds"
        " WHERE id = :run AND state IN ('running', 'waiting') AND revision = coalesce(:revision, revision)",
        _CLOSE_MESSAGES,
        _FREE,
        "DELETE FROM started WHERE run = :run",
        "DELETE FROM lease WHERE run = :run",
    ),
    # What a rollback is of: a run, or one step of it.
    "rollback_begun": ("UPDATE run SET undoes = :of WHERE id = :run",),
    "stop_asked": (
        "UPDATE run SET stopping = 1, state = CASE state WHEN 'paused' THEN 'waiting' ELSE state END"
        " WHERE id = :run AND ended IS NULL",
    ),
    # What is driven pauses by itself, once what is in flight has ended.
    "pause_asked": (
        "UPDATE run SET pausing = :pause_asked, state = CASE WHEN owner IS NULL THEN 'paused' ELSE state END"
        " WHERE id = :run AND state IN ('running', 'waiting') AND stopping = 0",
    ),
    "run_paused": (
        "UPDATE run SET state = 'paused', owner = NULL, seconds = seconds + :seconds"
        " WHERE id = :run AND state = 'running' AND pausing = :pause_asked",
        _FREE,
    ),
    "resume_asked": (
        "UPDATE run SET pausing = CASE state WHEN 'paused' THEN :pause_lifted ELSE :no_pause END,"
        " state = CASE state WHEN 'paused' THEN 'waiting' ELSE state END"
        " WHERE id = :run AND ended IS NULL AND pausing = :pause_asked",
    ),
    # The next revision of the plan that a run is about: `steps` are new to it, `dropped` are no longer in it.
    "plan_revised": (
        "INSERT INTO plan VALUES (:plan, :revision, :goal, :body, :at)",
        "UPDATE run SET revision = :revision, replans = replans + :replanned WHERE id = :run",
        Each("dropped", "UPDATE step SET dropped = 1 WHERE run = :run AND id = :each"),
        _NEW_STEPS,
    ),
    # A plan that is not being run got its next revision.
    "plan_changed": (
        "INSERT INTO plan SELECT :plan, :revision, :goal, :body, :at WHERE NOT EXISTS"
        " (SELECT 1 FROM plan WHERE id = :plan AND revision >= :revision)"
        " AND NOT EXISTS (SELECT 1 FROM run WHERE plan = :plan AND ended IS NULL)",
    ),
    # The same for a plan whose run is open: whoever drives that goes on with it once what is in flight has ended. Steps
    # that are `changed` or `dropped` have not begun, or have ended without a result, and what was asked about them is
    # not asked any more. So it is with the `items` of loops, of which none has begun, and with those that are `past`.
    # A step that was added since (`highest` was the last one) may be an item of such a loop.
    "run_changed": (
        "UPDATE run SET revision = :revision, state = CASE WHEN state = 'waiting' THEN 'running' ELSE state END"
        " WHERE id = :run AND revision = :seen AND ended IS NULL AND stopping = 0"
        " AND coalesce(:highest, 0) IN (0, (SELECT max(id) FROM step WHERE run = :run))",
        "INSERT INTO plan VALUES (:plan, :revision, :goal, :body, :at)",
        Each(
            "dropped", _IF_NOT_BEGUN.format(change="dropped = 1", ended="'failed', 'rejected', 'skipped'"), needed=True
        ),
        Each("changed", _IF_NOT_BEGUN.format(change=_ANEW, ended="'skipped'"), needed=True),
        Each("items", "UPDATE step SET dropped = 1 WHERE run = :run AND id = :each AND started IS NULL", needed=True),
        Each("past", "UPDATE step SET dropped = 1 WHERE run = :run AND id = :each"),
        Each("dropped", _WITHDRAWN),
        Each("changed", _WITHDRAWN),
        Each("items", _WITHDRAWN),
        "UPDATE message SET state = 'closed' WHERE run = :run AND state = 'open' AND step IS NULL"
        " AND (key LIKE 'plan/%' OR key LIKE 'replan/%' OR key LIKE 'review/%')",
        "DELETE FROM lease WHERE message IN (SELECT id FROM message WHERE run = :run AND state = 'closed')",
        _NEW_STEPS,
    ),
    # `budget` holds all limits, as they are now.
    "budget_raised": ("UPDATE run SET budget = :budget WHERE id = :run",),
    "budget_nearly_spent": (_UNCHANGED,),
    # Of a `revision` of the plan, where that matters: whoever knows an older one adds nothing.
    "step_added": (
        "INSERT INTO step (run, id, body, dropped) SELECT :run, :step, :body, :dropped WHERE NOT EXISTS"
        " (SELECT 1 FROM run WHERE id = :run AND revision > coalesce(:revision, revision))",
    ),
    "step_started": (
        "UPDATE step SET state = 'running', arguments = :arguments, epoch = :epoch, started = :at, returned = 0,"
        " result = NULL WHERE run = :run AND id = :step AND dropped = 0 AND attempt = coalesce(:attempt, attempt)",
        "UPDATE run SET tool_calls = tool_calls + 1 WHERE id = :run",
    ),
    "step_returned": ("UPDATE step SET returned = 1, result = :result WHERE run = :run AND id = :step",),
    # Its tool was approved for the rest of the run: `gate` says when.
    "step_allowed": (_UNCHANGED,),
    # Nobody was asked about this call: a rule of the settings, or one that a person has made (`id`), lets it pass.
    "rule_used": (_UNCHANGED,),
    "step_waiting": ("UPDATE step SET state = 'waiting' WHERE run = :run AND id = :step",),
    "step_resumed": ("UPDATE step SET state = 'running' WHERE run = :run AND id = :step",),
    "step_in_doubt": ("UPDATE step SET state = 'in_doubt', doubt = 1 WHERE run = :run AND id = :step",),
    "step_redone": (
        "UPDATE step SET state = 'pending', doubt = 0, attempt = attempt + 1, arguments = NULL"
        " WHERE run = :run AND id = :step",
    ),
    # It rests on a result that was wrong: what it has done and asked does not count.
    "step_recalled": (
        "UPDATE step SET state = 'pending', attempt = attempt + 1, arguments = NULL, returned = 0, result = NULL"
        " WHERE run = :run AND id = :step",
        "UPDATE message SET state = 'closed' WHERE run = :run AND step = :step AND kind = 'order' AND state = 'open'",
        "DELETE FROM lease WHERE message IN (SELECT id FROM message WHERE run = :run AND step = :step)",
    ),
    "step_retrying": ("UPDATE step SET attempt = attempt + 1, error = :error WHERE run = :run AND id = :step",),
    "step_again": (
        "UPDATE step SET state = 'pending', attempt = attempt + 1, round = round + 1, feedback = :feedback,"
        " error = :error, arguments = NULL, returned = 0, result = NULL WHERE run = :run AND id = :step",
    ),
    # A run takes up another (`of`), which has ended: this step of it counts.
    "step_taken_up": (
        "UPDATE step SET state = :state, arguments = :arguments, result = :result, doubt = :doubt"
        " WHERE run = :run AND id = :step",
    ),
    "call_started": ("UPDATE run SET tool_calls = tool_calls + 1 WHERE id = :run",),
    "step_settled": (
        "UPDATE step SET state = :state, result = :result, error = :error, ended = :at, doubt = 0"
        " WHERE run = :run AND id = :step",
    ),
    # What a call reads and writes: it is in flight, or `waits` for its turn.
    "claimed": (
        "INSERT INTO claim VALUES (:run, :key, :claim, (SELECT coalesce(max(number), 0) + 1 FROM claim))"
        " ON CONFLICT (run, key) DO UPDATE SET claim = excluded.claim",
    ),
    "freed": (_UNCHANGED, f"{_FREE} AND key = :key{_BUT_WORK}"),
    "asked": (_MESSAGE.format(kind=":kind", state="open"),),
    # The calling agent is asked what a model of ours was, or the other way round.
    "redirected": (
        "UPDATE message SET kind = :kind, body = :body WHERE id = :id AND run = :run AND state = 'open'"
        " AND kind IN ('order', 'question')",
        "DELETE FROM lease WHERE message = :id",
    ),
    # A calling agent does an order from now on, unless somebody else has it and their time is not over.
    "order_taken": (
        "UPDATE message SET state = state WHERE id = :id AND run = :run AND kind = 'order' AND state = 'open'"
        " AND NOT EXISTS (SELECT 1 FROM lease WHERE message = :id AND holder <> :holder AND until > :at)",
        "INSERT INTO lease VALUES (:id, :run, :holder, :by, :until, 1) ON CONFLICT (message) DO UPDATE SET"
        " number = CASE lease.holder WHEN excluded.holder THEN lease.number ELSE lease.number + 1 END,"
        " holder = excluded.holder, by = excluded.by, until = excluded.until",
    ),
    # Whoever has taken it so often (`number`) has it for longer, or gives it back with its answer.
    "order_kept": ("UPDATE lease SET until = :until WHERE message = :id AND run = :run AND number = :number",),
    "order_returned": ("DELETE FROM lease WHERE message = :id AND run = :run AND number = :number",),
    "lesson_learned": (
        "INSERT INTO lesson VALUES (:id, :workspace, :run, :goal, :text, :at)",
        "INSERT INTO lesson_words VALUES (:id, :goal, :text)",
    ),
    "lessons_forgotten": (
        Each("lessons", "DELETE FROM lesson WHERE id = :each"),
        Each("lessons", "DELETE FROM lesson_words WHERE id = :each"),
    ),
    "recipe_kept": ("INSERT INTO recipe VALUES (:id, :workspace, :run, :name, :goal, :body, :at)",),
    "recipes_forgotten": (Each("recipes", "DELETE FROM recipe WHERE id = :each"),),
    "rule_made": ("INSERT INTO rule VALUES (:id, :workspace, :run, :tool, :rule, :body, :channel, :at)",),
    "rules_forgotten": (Each("rules", "DELETE FROM rule WHERE id = :each"),),
    # Runs that ended `before` are gone, with their records.
    "pruned": (),
    # What a reflection or a search has come to, and what it takes to undo a call: they wait for nobody.
    "noted": (_MESSAGE.format(kind="'note'", state="closed"),),
    "kept": (_MESSAGE.format(kind="'undo'", state="closed"),),
    # The kind is part of the condition: nothing that answers an order can decide a gate, nor the other way round.
    "answered": (
        "UPDATE message SET state = 'answered', answer = :answer, approval = :approval, by = :by, channel = :channel,"
        " answered = :at WHERE id = :id AND run = :run AND kind = :kind AND state = 'open'",
    ),
    # An approval that was not used in time: the person is asked anew.
    "lapsed": (
        "UPDATE message SET state = 'open', answer = NULL, by = '', channel = '', answered = NULL"
        " WHERE id = :id AND run = :run AND kind = 'gate' AND state IN ('answered', 'used')",
    ),
    # What a server has asked a person in the middle of a call, and does not wait for any more.
    "withdrawn": (
        "UPDATE message SET state = 'closed' WHERE id = :id AND run = :run AND kind = 'gate' AND state = 'open'",
    ),
    "used": ("UPDATE message SET state = 'used' WHERE id = :id AND run = :run AND state = 'answered'",),
    "spent": (
        "UPDATE run SET model_calls = model_calls + :model_calls, input_tokens = input_tokens + :input_tokens,"
        " output_tokens = output_tokens + :output_tokens, dollars = dollars + :dollars,"
        " unpriced = unpriced + :unpriced WHERE id = :run",
    ),
}
"""The first statement must change a row, else the fact is stale."""
