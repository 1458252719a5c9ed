"""The server: everything of forethought that touches the outside world."""

from importlib.metadata import version

__version__ = version("forethought")

__all__ = ["__version__", "installing"]


def installing(extra: str) -> str:
    """How an optional part comes in, told to a person: from this project's own folder, as no package index has it."""
    return f"`pip install '.[{extra}]'` in the folder of the sources of forethought"
