"""`forethought install CLIENT`: this server in the configuration of a client, shown before it is written."""

__all__ = ["install"]

import difflib
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from rich.markup import escape
from rich.text import Text

from forethought.cli.clients import CLIENTS, NAME, Client, Entry
from forethought.cli.entries import with_entry
from forethought.cli.terminal import console, is_person
from forethought.settings import Settings, folder_named
from forethought_tools import SettingsError
from forethought_tools.visible import harmless, visible

_AROUND = 1  # lines: what stands beside may be the keys of other servers


def install(_: Settings, name: str, *, only_print: bool, yes: bool, folders: Sequence[str]) -> int:
    """Write the entry, once a person has seen the difference. With `only_print` the entry is shown, and that is all."""
    client = CLIENTS[name]
    place = client.place()
    entry = _entry(client, folders)
    if only_print:
        console.print(f"{client.title} reads {escape(visible(str(place)))}. This belongs there:")
        print(with_entry("", client.form, client.key, NAME, entry), end="")
        return 0
    old = _text(place)
    try:
        new = with_entry(old, client.form, client.key, NAME, entry)
    except SettingsError as error:
        mend = f"Nothing was changed. `forethought install {name} --print` shows what belongs there."
        raise SettingsError(f"{place}: {error}. {mend}") from None
    if new == old:
        console.print(f"It is there already: {escape(visible(str(place)))}")
        return 0
    _show(place, old, new)
    if not yes and not (is_person() and input("Write this? (y/N) ").strip().lower() in ("y", "yes")):
        console.print("Nothing was written." + ("" if is_person() else " Add --yes to write it."))
        return 0 if is_person() else 1
    backup = _written(place, old, new)
    kept = f" What was there is kept as {visible(backup.name)}." if backup else ""
    console.print(escape(f"Written.{kept} {client.afterwards}."))
    return 0


def _entry(client: Client, folders: Sequence[str]) -> Entry:
    """By the full path of this program: what a window system starts has not the PATH of a terminal."""
    beside = Path(sys.executable).with_name("forethought.exe" if sys.platform == "win32" else "forethought")
    program = str(beside) if beside.exists() else shutil.which("forethought")
    if program is None:
        raise SettingsError("The program `forethought` is not installed beside this Python. Install the project first.")
    named = [str(folder_named("--folder", folder).absolute()) for folder in folders]
    if client.names_folder and not named:
        if Path.cwd() in (Path.home(), Path(Path.cwd().anchor)):
            raise SettingsError("Say which folder its tools may use: --folder DIR, or change into that folder first.")
        named = [str(Path.cwd())]
    allowed = [part for each in named for part in ("--folder", each)]
    return client.entry(program, ["serve", *allowed])


def _text(place: Path) -> str:
    try:
        with place.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{place} cannot be read: {error}. Nothing was changed.") from None


def _show(place: Path, old: str, new: str) -> None:
    console.print(f"{escape(visible(str(place)))}{'' if old else ' (a new file)'}:")
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=_AROUND, lineterm="")
    for line in list(lines)[2:]:
        style = {"+": "green", "-": "red", "@": "dim"}.get(line[:1], "")
        console.print(Text(harmless(line), style=style), soft_wrap=True)


def _written(place: Path, old: str, new: str) -> Path | None:
    """Replace the file in one go. Returns where the old one is kept; nothing, where there was none."""
    real = place.resolve()  # it may be a link to a file that is kept elsewhere
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        backup = _backup(real) if old else None
        with NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=real.parent, prefix=f".{real.name}.", delete=False
        ) as file:
            file.write(new)
        if backup:
            shutil.copymode(real, file.name)
        Path(file.name).replace(real)
    except OSError as error:
        raise SettingsError(f"{place} cannot be written: {error.strerror}. Nothing was changed.") from None
    return backup


def _backup(real: Path) -> Path:
    names = (real.with_name(f"{real.name}.bak{number or ''}") for number in range(1000))
    backup = next(name for name in names if not name.exists())
    shutil.copy2(real, backup)
    return backup
