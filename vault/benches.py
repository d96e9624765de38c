"""Where the vault's work is done: threads of its own, apart by how long the work may take.

None of it may take the threads that the rest of the process lives on (`asyncio.to_thread`): a look at a dead share
never comes back, and a transfer takes hours. Nor may one kind of it take another's: a push waits for a host that
fetches its bytes from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from core.own_threads import OwnThreads


@dataclass(frozen=True)
class Benches:
    """Those of one vault. Where all seats are taken and too many wait, callers are told when to ask again."""

    looks: OwnThreads = field(default_factory=lambda: OwnThreads("look-ups", 8, waiting=256))
    """Reading the catalog, and looking at a few files."""
    hauls: OwnThreads = field(default_factory=lambda: OwnThreads("long errands", 8, waiting=8))
    """Scanning, reading and carrying whatever may be gigabytes."""
    bytes: OwnThreads = field(default_factory=lambda: OwnThreads("reads of files", 8, waiting=256))
    """Handing files out piece by piece."""
    manifests: OwnThreads = field(default_factory=lambda: OwnThreads("questions for manifests", 8, waiting=200))
    """Apart from the errands: two hosts that fetch from one another wait for each other's."""
