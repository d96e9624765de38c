"""Deletes what fetches and restorations have left behind that were cut off, and that nobody goes on with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from core.paths import RealmPaths
from vault.asset_jobs import ABANDONED_AFTER, drop_stagings
from vault.catalog.catalog import Catalog
from vault.checkpoints import BRANCHES
from vault.outlying import Outlying
from vault.transfer.landing import sweep_pulls
from vault.trash import folders_below


def sweep_up(paths: RealmPaths, catalog: Catalog, outlying: Outlying, roots: Iterable[Path], now: datetime) -> None:
    """In the base directory, in the `roots` beside it, and wherever else the catalog knows of a copy being made."""
    for root in (paths.models, *roots):
        if not outlying.is_there(str(root)):
            continue
        for folder in folders_below(root):
            drop_stagings(folder, now)
            sweep_pulls(folder, now=now)
    for staging, begun in catalog.stagings().items():
        # One whose disk is away is kept in mind.
        if abs(now - begun) > ABANDONED_AFTER and outlying.is_there(str(staging.parent)):
            shutil.rmtree(staging, ignore_errors=True)
            if not os.path.lexists(staging):
                catalog.forget_staging(staging)
    # Where backups are brought back to.
    branches = (paths.current_model / BRANCHES).glob("restored-*/")
    for folder in (*branches, paths.archive, paths.snapshots, paths.base):
        drop_stagings(folder, now)
