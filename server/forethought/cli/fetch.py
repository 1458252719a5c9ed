"""`forethought model fetch`: brings the embedded model's file, once, with a progress bar."""

__all__ = ["fetch"]

from pathlib import Path

from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from forethought.cli.terminal import console
from forethought.models import DEFAULT_EMBEDDED
from forethought.models.fetch import catalogue, model_file, present
from forethought.models.fetch import fetch as fetch_model
from forethought.settings import Settings
from forethought_tools import SettingsError


def fetch(settings: Settings, name: str | None, *, source: str | None) -> int:
    """Bring one embedded model into the data folder."""
    known = catalogue()
    chosen = name or DEFAULT_EMBEDDED
    if chosen not in known:
        raise SettingsError(f"There is no embedded model {chosen!r}. Known: {', '.join(known)}.")
    model = known[chosen]
    if not source and present(settings.home, model):
        console.print(f"{chosen} is there already: {escape(str(model_file(settings.home, model)))}", soft_wrap=True)
        return 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(chosen, total=model.size)

        def progress(done: int, total: int, where: str) -> None:
            del where  # too long for one line
            bar.update(task, completed=done, total=total)

        path = fetch_model(
            model,
            settings.home,
            source=Path(source) if source else None,
            hub=settings.model_hub,
            progress=progress,
        )
    console.print(
        f"{escape(str(path))}\n{model.origin}, licence {model.license}\nsha256 {model.sha256}", soft_wrap=True
    )
    return 0
