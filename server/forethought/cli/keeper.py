"""Runs go on when their client ends its server: a keeper, a server without a client, takes them over.

Some clients start a server for each call, and end it with the call. The server that is ended leaves a keeper behind, if
a run could go on, and none is there yet for the same folders of the same home. It drives runs as any server does, with
the settings, folders and gates of the one that has left it, and ends once no run goes on without a person or an agent.
"""

__all__ = ["leave", "main"]

import hashlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anyio
from filelock import FileLock, Timeout

from forethought.app import App, open_app
from forethought.cli.commands import secret_variables
from forethought.privacy import keep_private
from forethought.settings import Settings
from forethought_tools import StoreError

logger = logging.getLogger(__name__)


def leave(app: App) -> None:
    """Leave a keeper behind, where one is needed."""
    settings = app.settings
    try:
        if not settings.go_on or settings.store or not app.runs.supervisor.goes_on():
            return
        _leave(settings)
    except (StoreError, OSError) as error:
        logger.warning("nothing is left behind that goes on with the runs: %s", error)


def _leave(settings: Settings) -> None:
    if sys.platform == "win32":
        logger.warning("On Windows runs do not go on without a server. The next server takes them up again.")
        return
    # Where one is there: it looks once more before it ends, and sees what goes on here.
    if _take(lock := _lock(settings)):
        lock.release()
        _start(settings)


def _start(settings: Settings) -> None:
    """Start one. It is told of secrets by a pipe alone: commands that steps run could read what it is started with."""
    secret = secret_variables(settings.secrets)
    plain = {name: value for name, value in os.environ.items() if name not in secret}
    told = {
        "variables": {name: os.environ[name] for name in secret if name in os.environ},
        "folders": [str(folder) for folder in settings.folders],
        "model": settings.model,
        "servers": [str(file) for file in settings.server_files],
    }
    log = os.open(_file(settings, "log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    keeper = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", __name__],
        env=plain,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=log,
        start_new_session=True,  # who ends our group does not end it
    )
    os.close(log)
    if keeper.stdin:
        with keeper.stdin as pipe:
            pipe.write(json.dumps(told).encode())


def main() -> None:
    """Go on with what the server that has started us leaves, and end when nothing goes on."""
    keep_private()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    told = json.load(sys.stdin.buffer)
    os.environ.update(told["variables"])
    settings = Settings.read(folders=told["folders"], model=told["model"], servers=told["servers"])
    # No more than what was granted there: without any folder, not the one in which we were started.
    settings = replace(settings, folders=tuple(map(Path, told["folders"])))
    if _take(lock := _lock(settings)):
        anyio.run(_keep, settings, lock)


async def _keep(settings: Settings, lock: FileLock) -> None:
    async with open_app(settings) as app:
        supervisor = app.runs.supervisor
        held = True
        while held:
            await supervisor.at_rest()
            lock.release()
            # A server that was ended just now has seen that one is there, and relies on it.
            held = supervisor.goes_on() and _take(lock)


def _take(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _lock(settings: Settings) -> FileLock:
    return FileLock(_file(settings, "lock"))


def _file(settings: Settings, ending: str) -> Path:
    """A file of the keeper for these folders: it may drive no run that works in others."""
    folder = settings.home / "keepers"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folders = json.dumps([str(folder) for folder in settings.folders])
    return folder / f"{hashlib.sha256(folders.encode()).hexdigest()[:16]}.{ending}"


if __name__ == "__main__":
    main()
