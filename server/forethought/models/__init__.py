"""Which model answers which role. The choice is automatic, and can say why it was made."""

__all__ = ["Models"]

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from forethought import installing
from forethought.settings import Settings
from forethought_patterns import Model
from forethought_tools import ForethoughtError, Role, SettingsError

if TYPE_CHECKING:
    from forethought.models.ways import Known

DEFAULT_EMBEDDED = "qwen2.5-coder-1.5b"
DEFAULT_ENDPOINT_MODEL = "gpt-5.4-mini"

NO_MODEL = (
    "No model of our own: questions to a model become work orders for the calling agent. To change that, set"
    " FORETHOUGHT_BASE_URL and FORETHOUGHT_MODEL (any OpenAI-compatible endpoint), or FORETHOUGHT_API_KEY, or"
    f" {installing('local')} and run `forethought model fetch` (1.1 GB, once)."
)


@dataclass
class Models:
    """The models of this process, made when first asked for. `None` stands for host mode."""

    settings: Settings
    _made: dict[tuple[str, Role | None], Model | None] = field(
        default_factory=dict[tuple[str, Role | None], Model | None]
    )
    _known: "dict[str, Known]" = field(default_factory=dict[str, "Known"])
    """What each model at the endpoint takes: learnt once, whoever asks it."""

    def for_role(self, role: str) -> Model | None:
        """The model that plays this role, or none: then the question becomes a work order."""
        spec = self.spec_of(Role(role))
        # One model for all roles that ask it in the same way.
        key = (spec, Role(role) if Role(role) in self.settings.role_options and _at_endpoint(spec) else None)
        if key not in self._made:
            self._made[key] = self._make(spec, key[1])
        return self._made[key]

    def spec_of(self, role: Role) -> str:
        """The name of the model that plays this role, as settings have it."""
        if role is Role.AGENT and self.settings.agent == "caller":
            return "host"
        return self.settings.role_models.get(role, "") or self.chosen[0]

    @property
    def why_agent(self) -> str:
        """Why whoever does the steps of agents does them."""
        wanted, own = self.settings.agent, self.spec_of(Role.AGENT) != "host"
        if wanted == "caller":
            return "FORETHOUGHT_AGENT=caller says so"
        if wanted == "model" and not own:
            return "there is no model, though FORETHOUGHT_AGENT=model wants one. Set FORETHOUGHT_MODEL_AGENT"
        if Role.AGENT in self.settings.role_models:
            return "FORETHOUGHT_MODEL_AGENT says so"
        return self.chosen[1] if own else "no model of ours plays the agent; FORETHOUGHT_MODEL_AGENT names one"

    @property
    def chosen(self) -> tuple[str, str]:
        """The model for all roles that have none of their own, and why it was chosen."""
        settings = self.settings
        if settings.model:
            return settings.model, "FORETHOUGHT_MODEL or --model names it"
        if settings.base_url or settings.api_key:
            which = "FORETHOUGHT_BASE_URL" if settings.base_url else "an API key"
            return (
                DEFAULT_ENDPOINT_MODEL,
                f"{which} is set and FORETHOUGHT_MODEL is not, so the default model is used",
            )
        if find_spec("xllamacpp") is None:
            return "host", NO_MODEL
        if not self._fetched(DEFAULT_EMBEDDED):
            return "host", f"the extra `local` is installed, but its model is not fetched yet. {NO_MODEL}"
        return f"local:{DEFAULT_EMBEDDED}", "the extra `local` is installed and its model is fetched"

    def missing(self, role: str) -> str:
        """What the model of a role is without, as far as can be known without asking it. Empty: nothing."""
        from forethought.models.gguf import is_file, trouble

        kind, _, name = self.spec_of(Role(role)).partition(":")
        try:
            if kind in ("local", "scripted"):
                self.for_role(role)
        except ForethoughtError as error:
            return str(error)
        if kind != "local":
            return ""
        name = name or DEFAULT_EMBEDDED
        if find_spec("xllamacpp") is None:
            return f"{name} is not installed. Mend: {installing('local')}"
        if is_file(name):
            return trouble(Path(name).expanduser())
        return "" if self._fetched(name) else f"the file of {name} is not here. Mend: forethought model fetch {name}"

    async def aclose(self) -> None:
        """End the child processes and connections of every model."""
        for model in self._made.values():
            close = getattr(model, "aclose", None)
            if close is not None:
                await close()
        self._made.clear()

    def _make(self, spec: str, role: Role | None) -> Model | None:
        # Each adapter is imported when it is needed: start-up must stay as fast as that of an empty server.
        kind, _, rest = spec.partition(":")
        if spec == "host":
            return None
        if kind == "local":
            from forethought.models.fetch import catalogue, model_file
            from forethought.models.gguf import is_file
            from forethought.models.local import LocalModel

            kept = self.settings.home / "prompts"
            known = catalogue()
            name = rest or DEFAULT_EMBEDDED
            if is_file(rest):
                return LocalModel(name=Path(rest).stem, file=Path(rest).expanduser().absolute(), kept=kept)
            if name not in known:
                raise SettingsError(
                    f"FORETHOUGHT_MODEL: no embedded model {name!r}. Known: {', '.join(known)};"
                    " or give the path of a .gguf file."
                )
            return LocalModel(name=name, file=model_file(self.settings.home, known[name]), kept=kept)
        if kind == "scripted":
            from forethought.models.scripted import ScriptedModel

            return ScriptedModel.from_file(Path(rest))
        from forethought.models.openai import OpenAIModel
        from forethought.models.ways import Known

        settings = self.settings
        return OpenAIModel(
            model=spec,
            base_url=settings.base_url,
            api_key=settings.api_key or "none",
            options=settings.role_options[role].over(settings.model_options) if role else settings.model_options,
            known=self._known.setdefault(spec, Known()),
        )

    def _fetched(self, name: str) -> bool:
        from forethought.models.fetch import catalogue, present

        return present(self.settings.home, catalogue()[name])


def _at_endpoint(spec: str) -> bool:
    return spec != "host" and spec.partition(":")[0] not in ("local", "scripted")
