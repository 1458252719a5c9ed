"""Files and functions keep to their limits, and whoever excuses a line says why."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_no_file_and_no_function_is_over_the_limits() -> None:
    shape = [sys.executable, str(ROOT / "scripts/shape.py")]
    done = subprocess.run(shape, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
