-- The journal and the rows that tell its state. One transaction writes both, so they always agree.

-- A plan's revisions. `body` holds reasoning, context, steps, and how sure the planner's model was.
CREATE TABLE plan (
    id TEXT NOT NULL, revision INTEGER NOT NULL, goal TEXT NOT NULL, body TEXT NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (id, revision)
) WITHOUT ROWID;

-- One run, of one of the kinds in engine/kinds/ (`kind`); not all have a plan. `epoch` grows with every claim and fences
-- late writers; `owner` is the process that drives it, none while it waits or has ended. `revision` is the one it runs
-- now, `budget` the limits as people have raised them, `pausing` is one of `rows.Pausing`, `undoes` what a rollback is
-- of, `dollars` to `seconds` what was spent, `unpriced` calls without a known price.
CREATE TABLE run (
    id TEXT PRIMARY KEY, plan TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, epoch INTEGER NOT NULL DEFAULT 0,
    owner TEXT, options TEXT NOT NULL, revision INTEGER NOT NULL, replans INTEGER NOT NULL DEFAULT 0,
    answer TEXT NOT NULL DEFAULT '""', error TEXT NOT NULL DEFAULT '', stopping INTEGER NOT NULL DEFAULT 0,
    pausing INTEGER NOT NULL DEFAULT 0, undoes TEXT NOT NULL DEFAULT '',
    budget TEXT NOT NULL, dollars REAL NOT NULL DEFAULT 0, unpriced INTEGER NOT NULL DEFAULT 0,
    model_calls INTEGER NOT NULL DEFAULT 0, input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0, tool_calls INTEGER NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0,
    created REAL NOT NULL, ended REAL
) WITHOUT ROWID;
-- A plan has at most one open run: a call that is repeated, here or elsewhere, must not do the work twice.
CREATE UNIQUE INDEX run_of_plan ON run (plan) WHERE plan <> '' AND ended IS NULL;
CREATE UNIQUE INDEX run_of_undo ON run (undoes) WHERE undoes <> '' AND ended IS NULL;
CREATE INDEX run_by_plan ON run (plan, created);
CREATE INDEX run_open ON run (state) WHERE state IN ('running', 'waiting');

-- The state of each step of a run. `round` counts the tries with `feedback`, `returned`: the call of this attempt has
-- brought `result`, which is not judged yet, `dropped`: a later revision of the plan does without the step,
-- `body`: the step itself, where it arrived before its plan, `doubt`: its call was cut off, and a person has to look.
CREATE TABLE step (
    run TEXT NOT NULL, id INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'pending', attempt INTEGER NOT NULL DEFAULT 1,
    round INTEGER NOT NULL DEFAULT 0, feedback TEXT NOT NULL DEFAULT '', epoch INTEGER NOT NULL DEFAULT 0,
    arguments TEXT, returned INTEGER NOT NULL DEFAULT 0, result TEXT, error TEXT NOT NULL DEFAULT '',
    dropped INTEGER NOT NULL DEFAULT 0, doubt INTEGER NOT NULL DEFAULT 0, body TEXT, started REAL, ended REAL,
    PRIMARY KEY (run, id)
) WITHOUT ROWID;

-- Everything asked of someone: gates, which only a person decides, and orders, which only a model answers. Also what
-- must not be done twice: questions to a model of our own, and the calls of checks and searches. And notes, which tell
-- what a reflection or a search has come to.
-- `key` says what it is for (step and attempt), never when it was asked. open -> answered -> used. `approval`: the answer
-- lets something happen. `number` counts what a run has asked: clocks go back, and differ.
CREATE TABLE message (
    id TEXT PRIMARY KEY, run TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, step INTEGER, body TEXT NOT NULL,
    state TEXT NOT NULL, answer TEXT, approval INTEGER NOT NULL DEFAULT 0, by TEXT NOT NULL DEFAULT '', channel TEXT NOT NULL DEFAULT '',
    asked REAL NOT NULL, answered REAL, number INTEGER NOT NULL,
    UNIQUE (run, key), UNIQUE (run, number)
) WITHOUT ROWID;
CREATE INDEX message_open ON message (run, state);

-- What calls that are in flight, or wait for their turn, read and write: first come (`number`), first served. `key` says
-- what the call is for. Only other processes need to be told so, and nothing of it stays.
CREATE TABLE claim (
    run TEXT NOT NULL, key TEXT NOT NULL, claim TEXT NOT NULL, number INTEGER NOT NULL UNIQUE, PRIMARY KEY (run, key)
) WITHOUT ROWID;

-- What runs have taught, for those who plan in the same folders (`workspace`). It can be forgotten. Each kind of database
-- has its own table `lesson_words (id, goal, text)` for finding them.
CREATE TABLE lesson (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, run TEXT NOT NULL, goal TEXT NOT NULL, text TEXT NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID;

-- Plans that reached their goals, kept for those who plan in the same folders (`workspace`). `name` is what a person calls
-- it, if anything; `body` holds the shapes of the files, the steps, and the values that a person has marked.
-- IF NOT EXISTS: journals of schema 1 are without it, and get it when they are opened.
CREATE TABLE IF NOT EXISTS recipe (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, run TEXT NOT NULL, name TEXT NOT NULL DEFAULT '', goal TEXT NOT NULL,
    body TEXT NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;

-- What a person has allowed once and for all (`rule`), in the same folders (`workspace`): by the decision of a run, through
-- a channel. `body` holds what it rests on: files with their SHA-256, and the fingerprint of a tool of others.
-- IF NOT EXISTS: journals of schemas 1 to 3 are without it.
CREATE TABLE IF NOT EXISTS rule (
    id TEXT PRIMARY KEY, workspace TEXT NOT NULL, run TEXT NOT NULL, tool TEXT NOT NULL, rule TEXT NOT NULL,
    body TEXT NOT NULL, channel TEXT NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;

-- Which open run a call of a client has started (`call`: a digest of who called for what): the same call attaches to it.
-- IF NOT EXISTS: journals of schemas 1 and 2 are without it.
CREATE TABLE IF NOT EXISTS started (call TEXT PRIMARY KEY, run TEXT NOT NULL) WITHOUT ROWID;

-- Which calling agent does an open order (`message`), and until when: `holder` is a client in one process, `by` what it
-- calls itself, `number` counts how often the order changed hands. Nothing of it stays once the order is answered.
-- IF NOT EXISTS: journals of schemas 1 to 3 are without it.
CREATE TABLE IF NOT EXISTS lease (
    message TEXT PRIMARY KEY, run TEXT NOT NULL, holder TEXT NOT NULL, by TEXT NOT NULL, until REAL NOT NULL,
    number INTEGER NOT NULL
) WITHOUT ROWID;

-- What happened, in order, never changed. `hash` is the SHA-256 of the entry and of the hash before it, in the same run.
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, run TEXT NOT NULL, at REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX journal_by_run ON journal (run, seq);
