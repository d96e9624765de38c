"""Which paths a caller from outside may name: those inside a root, whatever links and dots they are written with."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from core.errors import RealmError
from core.paths import RealmPaths

LONGEST_PATH = 2048
LONGEST_NAME = 255
"""Bytes, as disks have it."""


class OutOfBounds(RealmError):
    """This path may not be named."""

    code = "forbidden"
    http_status = 403


@dataclass(frozen=True)
class Roots:
    """The roots of one realm."""

    base: Path
    """What a relative path starts from."""
    readable: tuple[Path, ...]
    """Assets below these may be registered and sent."""
    writable: tuple[Path, ...]
    """Assets may be fetched to places below these. Not the lanes, the inbox or the checkpoints: those have gates."""

    @classmethod
    def of(cls, paths: RealmPaths, others: Iterable[str] = ()) -> Roots:
        """Those of a realm: its base directory and `models/` in it, and the settings' `vault.roots`."""
        more = tuple(Path(other) for other in others)
        # `models/` may be a link to another disk.
        return cls(paths.base, (paths.base, paths.models, *more), (paths.models, *more))

    def to_read(self, path: str) -> Path:
        """The real path; raises `OutOfBounds` where it leads out of every root or to something hidden."""
        return self._contained(path, self.readable)

    def to_write(self, path: str) -> Path:
        """The same of a place that need not exist yet; its names are such as every disk of the realm can have."""
        if "\\" in path or not path.isprintable():
            raise OutOfBounds("A place here has no backslash and no control character in its name.")
        return self._contained(path, self.writable)

    def _contained(self, path: str, roots: Iterable[Path]) -> Path:
        parts = [len(part.encode("utf-8", "surrogatepass")) for part in path.split("/")]
        if not path or "\0" in path or max(parts) > LONGEST_NAME or sum(parts) + len(parts) > LONGEST_PATH:
            raise OutOfBounds("No disk can have such a path.")
        real = Path(os.path.realpath(self.base / path))
        for root in roots:
            real_root = Path(os.path.realpath(root))
            if real.is_relative_to(real_root) and real != real_root.parent:
                hidden = [part for part in real.relative_to(real_root).parts if part.startswith(".")]
                if hidden:
                    raise OutOfBounds(f"{path} is hidden: {hidden[0]} begins with a dot.")
                return real
        places = ", ".join(str(root) for root in roots)
        raise OutOfBounds(
            f"{path} lies outside of what may be named here.", hint=f"Allowed are {places}; `vault.roots` adds to them."
        )
