"""What a quest is measured by before it is trained: the tokenizer that the trainer renders with, and the limits.

Only names and limits, so that the control process can hold them; the files behind them are read in the scribe.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

OF_SEEDLING = "seedling"
"""The tokenizer that lies in no directory: it is made on the spot."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
"""Files of a model directory that decide how a row is rendered."""

Stamp = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and mtime in ns of each file: tells one version of them from the next."""


@dataclass(frozen=True)
class Yardstick:
    """One way to measure rows. JSON-able by `dataclasses.asdict`."""

    tokenizer: str
    """`seedling`, or the directory of the model whose tokenizer and template render the rows."""
    profile: str
    system_prompt: str | None
    max_length: int
    """Tokens of one row at most."""
    held_out: str
    """Directory of the rows that are measured and must not be learned; `""` for none."""
    deep: bool = False
    """Whether to look at what the rows say, too (level DEEP)."""

    def stamp(self) -> Stamp:
        """The present version of every file that a verdict depends on."""
        return stamp_of_files([*tokenizer_files(self.tokenizer), *held_out_files(self.held_out)])


def tokenizer_files(tokenizer: str) -> list[Path]:
    """The files that a tokenizer (`Yardstick.tokenizer`) may be made of, there or not."""
    return [] if tokenizer == OF_SEEDLING else [Path(tokenizer, name) for name in TOKENIZER_FILES]


def is_at_hand(tokenizer: str) -> bool:
    """Whether the tokenizer can be read now."""
    return tokenizer == OF_SEEDLING or Path(tokenizer, "tokenizer.json").is_file()


def held_out_files(folder: str) -> list[Path]:
    """The files of held-out rows, by name."""
    return sorted(Path(folder).glob("*.jsonl")) if folder else []


def stamp_of_files(files: list[Path]) -> Stamp:
    """The versions of those of `files` that are there."""
    found = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            continue
        found.append((str(file), status.st_size, status.st_mtime_ns))
    return tuple(found)
