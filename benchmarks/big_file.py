"""One very large file through the gates of a living realm: how fast, and how much memory the processes take.

    python -m benchmarks.big_file --gigabytes 3
    python -m benchmarks.big_file --gigabytes 3 --form json.gz --learn 300

The file is made with bounded memory, judged by the daemon's own scribe and moved into its lane. For comparison,
`msgspec` decodes the same rows in the same run, line by line; both are measured in CPU seconds. Memory is the peak that
the kernel remembers (`VmHWM`).
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import psutil
import typer
import zstandard

from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.scrolls.json_lines import lines_of, read_blocks
from benchmarks.figures import Figure, write_results
from benchmarks.launching import run_benchmark
from tests.acceptance.living_realm import LivingRealm

CONTROL_LIMIT_MB = 150
SCRIBE_LIMIT_MB = 400
WANTED = 0.4
"""Of the speed of msgspec (DESIGN section 10)."""
ROWS_MADE_AT_ONCE = 500
WORDS = (
    "the",
    "hero",
    "walks",
    "along",
    "a",
    "river",
    "and",
    "asks",
    "why",
    "stones",
    "are",
    "round",
    "while",
    "it rains",
)
PACKERS: dict[str, Callable[[BinaryIO], BinaryIO]] = {
    "gz": lambda file: io.BufferedWriter(gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1)),
    "zst": lambda file: zstandard.ZstdCompressor().stream_writer(file, closefd=False),
}


def main(
    gigabytes: Annotated[float, typer.Option(help="Size of the rows, unpacked.")] = 3.0,
    rows: Annotated[int, typer.Option(help="Number of rows.")] = 2_000_000,
    form: Annotated[str, typer.Option(help="jsonl or json, with .gz or .zst behind it.")] = "jsonl",
    learn: Annotated[
        float, typer.Option(help="Seconds for which the trainer's memory is watched; 0: not at all.")
    ] = 0.0,
    folder: Annotated[Path | None, typer.Option(help="Where to work; needs thrice the size.")] = None,
) -> None:
    """Print and keep speed and memory; exit code 1 when a process took more memory than it may."""
    with tempfile.TemporaryDirectory(prefix="big-file-", dir=folder) as work:
        made = Path(work) / f"big.{form}"
        begun = time.monotonic()
        size = make_file(made, rows, int(gigabytes * 1e9))
        _tell("file", f"{rows} rows, {size / 1e6:.0f} MB of text, {made.stat().st_size / 1e6:.0f} MB as {form}")
        _tell("made in", f"{time.monotonic() - begun:.1f} s")
        decoding = _time_decoding(made, rows) if form == "jsonl" else None
        judging = _time_gates(made)
        _tell_speed("gates alone", judging, rows, size)
        what = f"{size / 1e9:.2g} GB of text as {form}"
        figures = [Figure(f"{what}: the gates alone", None, [size / 1e6 / judging], unit="MB/s")]
        if decoding is not None:
            _tell_speed("msgspec", decoding, rows, size)
            _tell("ratio", f"{decoding / judging:.2f} of the speed of msgspec; at least {WANTED:.2f} is wanted")
            peer = "msgspec decoding the same bytes"
            figures.append(Figure(f"{what}: QUICK gate", peer, [decoding / judging], at_least=WANTED))
        realm = LivingRealm(Path(work) / "realm")
        try:
            peaks = _take_in(realm, made, rows, size)
            if learn:
                _watch_trainer(realm, learn)
        finally:
            realm.close()
    memory = [
        Figure(f"{what}: memory of the {who}", None, [peaks[name]], unit="MB", at_most=limit)
        for name, who, limit in (
            ("control", "control process", CONTROL_LIMIT_MB), ("scribe", "scribe that judges it", SCRIBE_LIMIT_MB)
        )
    ]  # fmt: skip
    write_results("big_file", figures + memory, details={"rows": rows, "bytes": size, "form": form})
    if not all(figure.met for figure in memory):
        raise typer.Exit(1)


def make_file(path: Path, rows: int, size: int) -> int:
    """Write a file of `rows` chats whose JSON lines have about `size` bytes; returns how many they have."""
    form, *packed = path.name.split(".")[1:]
    with path.open("wb") as file:
        target = PACKERS[packed[0]](file) if packed else file
        written = _write_list(target, rows, size) if form == "json" else _write_lines(target, rows, size)
        if packed:
            target.close()
    return written


def _write_lines(target: BinaryIO, rows: int, size: int) -> int:
    return sum(target.write(b"".join(json.dumps(row).encode() + b"\n" for row in some)) for some in _rows(rows, size))


def _write_list(target: BinaryIO, rows: int, size: int) -> int:
    """Pretty-printed, as people's tools write it."""
    written, gap = 0, b"[\n"
    for some in _rows(rows, size):
        for row in some:
            text = json.dumps(row, indent=1).encode()
            target.write(gap + text)
            written, gap = written + len(text) + 1, b",\n"
    target.write(b"\n]\n")
    return written


def _rows(rows: int, size: int) -> Iterator[list[dict[str, object]]]:
    chance = random.Random(1)
    length = max(10, size // rows - 110)
    story = " ".join(chance.choices(WORDS, k=20_000))
    for first in range(0, rows, ROWS_MADE_AT_ONCE):
        some: list[dict[str, object]] = []
        for number in range(first, min(first + ROWS_MADE_AT_ONCE, rows)):
            start = chance.randrange(len(story) - length)
            chat = [
                {"role": "user", "content": f"Tell story {number:08}."},
                {"role": "assistant", "content": story[start : start + length]},
            ]
            some.append({"messages": chat})
        yield some


def _time_decoding(path: Path, rows: int) -> float:
    """CPU seconds in which msgspec decodes each line of the file."""
    decode = msgspec.json.Decoder().decode
    begun, found = time.process_time(), 0
    with path.open("rb", buffering=0) as file:
        for block in read_blocks(file):
            found += sum(1 for _ in map(decode, (text for _, text in lines_of(block))))
    assert found == rows
    return time.process_time() - begun


def _time_gates(path: Path) -> float:
    """CPU seconds in which the gates judge the file."""
    begun = time.process_time()
    verdict = inspect_file(str(path))
    assert verdict["accepted"], verdict["errors"]
    return time.process_time() - begun


def _take_in(realm: LivingRealm, made: Path, rows: int, size: int) -> dict[str, float]:
    """Drop the file into a paused realm; returns the peaks of memory in MB."""
    realm.wish("pause")
    realm.up(awake=False)
    inode = made.stat().st_ino
    begun = time.monotonic()
    made.rename(realm.paths.inbox / made.name)
    peaks: dict[str, float] = {}
    cpu = 0.0

    def admitted() -> bool:
        nonlocal cpu
        peaks["control"] = _peak(realm.pid)
        for child in psutil.Process(realm.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "core.scribe_worker" in child.cmdline():
                    peaks["scribe"] = max(peaks.get("scribe", 0.0), _peak(child.pid))
                    cpu = max(cpu, sum(child.cpu_times()[:2]))
        return bool(realm.lane("normal") or realm.lane("failed"))

    realm.wait(admitted, "the file in its lane", 3600.0)
    _tell_speed("inbox to lane", time.monotonic() - begun, rows, size)
    (quest,) = realm.lane("normal")
    _tell("moved by", "a link" if quest.stat().st_ino == inode else "unpacking")
    realm.wait(lambda: not admitted() or realm.events("quest_accepted"), "the word of it")
    _tell("control process", f"{peaks['control']:.0f} MB at most, of {CONTROL_LIMIT_MB}")
    _tell("scribe", f"{peaks['scribe']:.0f} MB at most, of {SCRIBE_LIMIT_MB}; {cpu:.1f} s of CPU")
    return peaks


def _watch_trainer(realm: LivingRealm, seconds: float) -> None:
    """Let the quest be learned for a while, and tell what the trainer needs for it."""
    realm.wait(realm.trainer, "the trainer", 120.0)
    realm.wait(lambda: realm.event_since_up("trainer_ready"), "the trainer's model", 120.0)
    trainer = realm.trainer()
    assert trainer is not None
    _tell("trainer, idle", f"{_peak(trainer.pid):.0f} MB")
    realm.wish("resume")
    begun, first_step = time.monotonic(), 0.0

    def is_over() -> bool:
        nonlocal first_step
        here = realm.position()
        if not first_step and here is not None and here.quest_step > 0:
            first_step = time.monotonic() - begun
        return time.monotonic() - begun > seconds

    realm.wait(is_over, "the end of the watch", seconds + 60)
    _tell("first step", f"after {first_step:.0f} s" if first_step else f"not within {seconds:.0f} s")
    _tell("trainer", f"{_peak(trainer.pid):.0f} MB at most")
    _tell("control process", f"{_peak(realm.pid):.0f} MB at most")


def _peak(pid: int) -> float:
    """The largest resident size of a process so far, in MB."""
    with suppress(FileNotFoundError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1000 if found else 0.0
    return 0.0


def _tell_speed(what: str, seconds: float, rows: int, size: int) -> None:
    _tell(what, f"{seconds:.1f} s, {rows / seconds:.0f} rows/s, {size / 1e6 / seconds:.0f} MB/s")


def _tell(what: str, how: object) -> None:
    typer.echo(f"{what:>18}: {how}")


if __name__ == "__main__":
    run_benchmark(main)
