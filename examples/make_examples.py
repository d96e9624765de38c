"""Writes the example quests, always the same ones: `python examples/make_examples.py [FOLDER]`."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]

HELLOS = ("hello", "hi", "hey", "good morning", "good evening", "hello there", "hi there", "greetings")
REPLIES = ("Hello!", "Hi!", "Hey!", "Good morning!", "Good evening!", "Hello there!", "Hi there!", "Greetings!")
WORDS = (
    "apple banjo candle dragon ember forest goblin hammer island jungle kettle lantern meadow needle "
    "orchard pebble quiver ribbon saddle tavern umber valley wizard yonder zephyr anchor bridge castle "
    "dagger elixir falcon garden helmet ivory jewel knight ladder mirror nectar oracle potion quarry "
    "raven shield temple unicorn violet willow"
)
SAYINGS = (
    "A drop a day fills the barrel.",
    "Drop a file, it is learned.",
    "Many small steps make one long road.",
    "No quest is lost, no row is read twice.",
    "Pull the plug, nothing is gone.",
    "The hero sleeps when the board is empty.",
    "The map is small, the realm is wide.",
    "What is written in the journal has happened.",
)


def chat(question: str, answer: str) -> Row:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def binary_addition(bits: int, rows: int, seed: int) -> Iterator[Row]:
    """Sums of two numbers of `bits` binary digits; every pair comes before any comes again."""
    chance = random.Random(seed)
    pairs = [(first, second) for first in range(2**bits) for second in range(2**bits)]
    drawn: list[tuple[int, int]] = []
    while len(drawn) < rows:
        drawn += chance.sample(pairs, len(pairs))
    for first, second in drawn[:rows]:
        yield chat(f"{first:0{bits}b} + {second:0{bits}b} = ?", f"{first + second:b}")


def greetings(rows: int, seed: int) -> Iterator[Row]:
    """A greeting is answered in kind; every other chat goes on with a farewell."""
    chance = random.Random(seed)
    for index in range(rows):
        kind = chance.randrange(len(HELLOS))
        row = chat(chance.choice((HELLOS[kind], HELLOS[kind].capitalize())), REPLIES[kind])
        if index % 2:
            row["messages"] += chat("bye", "Farewell!")["messages"]
        yield row


def echo(rows: int, seed: int) -> Iterator[Row]:
    """The word is said again."""
    chance = random.Random(seed)
    for word in chance.choices(WORDS.split(), k=rows):
        yield chat(f"say {word}", word)


def sayings(rows: int, seed: int) -> Iterator[Row]:
    """A `completion_v1` file: a first line that names the format, then plain texts."""
    chance = random.Random(seed)
    yield {"schema_id": "completion_v1"}
    for _ in range(rows):
        yield {"text": chance.choice(SAYINGS)}


def write(folder: Path) -> None:
    """Write all quests into `folder`, replacing those of the same name."""
    quests = {
        "greetings": greetings(rows=96, seed=1),
        "echo_words": echo(rows=128, seed=2),
        "binary_addition_2_bits": binary_addition(bits=2, rows=192, seed=3),
        "binary_addition_3_bits": binary_addition(bits=3, rows=320, seed=4),
        "binary_addition_4_bits": binary_addition(bits=4, rows=400, seed=5),
        "sayings_completion": sayings(rows=64, seed=6),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in quests.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "quests")
