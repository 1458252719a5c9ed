"""The server: everything of forethought that touches the outside world."""

from importlib.metadata import version

__version__ = version("forethought")

__all__ = ["__version__"]
