"""Showing a page to whoever sits at this machine, if somebody does."""

from __future__ import annotations

import os
import sys

SCREENS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
"""Variables of the environment of which one tells where a browser can be shown."""


def show_page(url: str) -> None:
    """Open `url` in the user's browser; without a screen, nothing happens."""
    # Python would open a text browser in the terminal of the caller.
    if sys.platform == "darwin" or any(os.environ.get(name) for name in SCREENS):
        import webbrowser

        webbrowser.open(url)
