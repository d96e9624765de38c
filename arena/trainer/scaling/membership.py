"""Which of the processes of one trainer this one is, and how it finds the others: by files in a private folder.

Torch-free, as it comes before the imports. What torchrun has put into the environment is taken out of it: accelerate
forms a group of its own where it finds it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

STORE = "store"
"""Where the group of torch finds its members."""
CALL = "call"
FAILURE = "failure-{rank}"
OUT_OF_MEMORY = "out-of-memory"
LOOK_SECONDS = 0.1

_TOLD = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
_TOLD_WITH = ("TORCHELASTIC_", "MASTER_", "GROUP_", "ROLE_")


@dataclass(frozen=True)
class Membership:
    """One process of several."""

    rank: int
    """0 is the one that fights the battle and talks to the daemon."""
    size: int
    place: Path
    """A folder of this trainer alone, which no other user may open."""

    @classmethod
    def from_torchrun(cls, place: Path) -> Membership:
        """For a process that torchrun has started; it sees one GPU from now on, its own."""
        rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        for name in list(os.environ):
            if name in _TOLD or name.startswith(_TOLD_WITH):
                del os.environ[name]
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = visible.split(",") if visible is not None else list(map(str, range(size)))
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[rank] if rank < len(gpus) else ""
        return cls(rank, size, place)

    def call(self) -> None:
        """The first process has loaded its libraries, and waits for the others from now on."""
        (self.place / CALL).touch()

    def wait_for_call(self) -> bool:
        """Wait for the first process, which may have to wait for the trainer before; False when torchrun is gone."""
        parent = os.getppid()
        while not (self.place / CALL).exists():
            if os.getppid() != parent:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def note_failure(self, reason: str, *, out_of_memory: bool = False) -> None:
        """Why this process goes, for the first one to tell."""
        if out_of_memory:
            (self.place / OUT_OF_MEMORY).touch()
        (self.place / FAILURE.format(rank=self.rank)).write_text(reason)

    def ran_out_of_memory(self) -> bool:
        """Whether that is why one of the others went."""
        return (self.place / OUT_OF_MEMORY).exists()

    def failures(self) -> dict[int, str]:
        """What the others have noted, by rank."""
        notes = ((rank, self.place / FAILURE.format(rank=rank)) for rank in range(self.size))
        return {rank: note.read_text() for rank, note in notes if note.exists()}
