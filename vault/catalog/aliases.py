"""The other names of assets, accepted wherever an id is (DESIGN section 6): steps and canonical names, `-` or `_`."""

from __future__ import annotations

import re

from core.checkpoint_records import is_checkpoint_name
from vault.catalog.catalog import Catalog

_STEP = re.compile(r"[0-9]{1,18}")


def id_of_alias(catalog: Catalog, reference: str) -> str | None:
    """The id that a bare step, the name of a directory or file, or `checkpoint_STEP-DATE-TIME` stands for."""
    if _STEP.fullmatch(reference):
        return f"checkpoint_{int(reference)}"
    name = reference.replace("_", "-", 1) if reference.startswith("checkpoint_") else reference
    asset_id = catalog.id_of_name(name)
    step = name.removeprefix("checkpoint-")
    if asset_id is None and is_checkpoint_name(name) and _STEP.fullmatch(step):
        return f"checkpoint_{int(step)}"
    return asset_id
