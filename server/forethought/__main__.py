"""`python -m forethought` is the `forethought` command."""

from forethought.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
