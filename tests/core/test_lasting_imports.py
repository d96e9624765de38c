"""What is imported for the life of a process, and what is left out of it."""

from __future__ import annotations

import subprocess
import sys

from core.paths import CHECKOUT

LEAVE_OUT = """
from importlib.util import find_spec
from core.lasting_imports import lasting_imports
with lasting_imports(without=("wave",)):
    print(find_spec("wave"), find_spec("colorsys") is not None)
try:
    import wave
except ModuleNotFoundError as error:
    print(error.name)
"""


def test_a_package_that_is_left_out_counts_as_not_installed() -> None:
    """Libraries look for others in both ways, and import those that they find."""
    command = [sys.executable, "-c", LEAVE_OUT]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == ["None", "True", "wave"]
