"""The cap on transfers that stands in the settings of a host; whoever asks for one may ask for less."""

from __future__ import annotations

import os
from dataclasses import replace

from core.paths import RealmPaths
from vault.transfer.pull import PullOptions

VARIABLE = "REALM_VAULT__BANDWIDTH_MEGABYTES"


def within_settings(paths: RealmPaths, options: PullOptions | None = None) -> PullOptions:
    """`options` with no more bytes a second than `vault.bandwidth_megabytes` of a base directory allows.

    Raises `InvalidInput` for settings with mistakes.
    """
    options = options or PullOptions()
    if not paths.config_file.exists() and VARIABLE not in os.environ:
        # A host that only fetches needs nothing to read settings with.
        return options
    from core.settings_reading import load_settings

    megabytes = load_settings(paths.config_file).vault.bandwidth_megabytes
    if megabytes is None:
        return options
    allowed = max(1, int(megabytes * 1_000_000))
    return replace(options, bytes_per_second=min(allowed, options.bytes_per_second or allowed))
