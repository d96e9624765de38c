"""How fast the QUICK gate is beside msgspec, which decodes the same lines and checks nothing.

    python -m benchmarks.gate --megabytes 12

One file per shape in a temporary directory; the best of five passes each, both in this process.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from arena.gatekeepers.gate import inspect_file
from benchmarks.figures import Figure, write_results

PASSES = 5
DIFFERENT_ROWS = 400
SENTENCE = "the quick brown fox jumps over a lazy dog and says hello to everyone who listens"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}

dice = random.Random(1)


def text(size: int) -> str:
    """Words of about `size` characters in a few lines."""
    return " ".join(dice.choices(SENTENCE.split(), k=size // 5)).replace(" dog ", " dog\n")


def chat(turns: int, size: int) -> list[dict[str, Any]]:
    roles = ("user", "assistant") * turns
    return [{"role": role, "content": text(size)} for role in roles]


def tool_chat() -> list[dict[str, Any]]:
    question, answer = chat(1, 100)
    call = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    return [question, call, {"role": "tool", "tool_call_id": "c1", "content": text(100)}, answer]


def shared() -> list[dict[str, str]]:
    names = {"user": "human", "assistant": "gpt"}
    return [{"from": names[message["role"]], "value": message["content"]} for message in chat(4, 200)]


ROWS: dict[str, Callable[[], dict[str, Any]]] = {
    "chat, 2 messages of 10": lambda: {"messages": chat(1, 10)},
    "chat, 2 messages of 40": lambda: {"messages": chat(1, 40)},
    "chat, 4 messages of 300": lambda: {"messages": chat(2, 300)},
    "chat, 12 messages of 500": lambda: {"messages": chat(6, 500)},
    "chat, code with quotes": lambda: {"messages": [*chat(1, 100), {"role": "user", "content": 'x = "a"\n' * 200}]},
    "chat with columns": lambda: {"messages": chat(1, 40), "tags": ["a", "b"], "difficulty": "easy"},
    "text": lambda: {"text": text(400)},
    "ShareGPT": lambda: {"conversations": shared(), "id": "x"},
    "Alpaca": lambda: {"instruction": text(80), "input": dice.choice(["", text(60)]), "output": text(150)},
    "prompt/completion": lambda: {"prompt": text(120), "completion": text(60)},
    "chat with weights": lambda: {"messages": [{**message, "weight": 1} for message in chat(2, 100)]},
    "chat with tools": lambda: {"messages": tool_chat(), "tools": [TOOL]},
}


def best_of(run: Callable[[], object]) -> float:
    """Seconds of the quickest pass."""
    seconds = []
    for _ in range(PASSES):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def decode_lines(path: Path) -> None:
    decode = msgspec.json.Decoder().decode
    with path.open("rb") as stream:
        for line in stream:
            decode(line)


def main(megabytes: Annotated[float, typer.Option(help="Size of each file.")] = 12.0) -> None:
    """Print the table."""
    typer.echo(f"{'shape':26} {'msgspec':>9} {'gate':>9} {'ratio':>6}")
    ratios = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        for name, make in ROWS.items():
            rows = b"".join(json.dumps(make()).encode() + b"\n" for _ in range(DIFFERENT_ROWS))
            path.write_bytes(rows * max(1, round(megabytes * 1e6 / len(rows))))
            assert inspect_file(str(path))["accepted"]
            plain, gate = best_of(lambda: decode_lines(path)), best_of(lambda: inspect_file(str(path)))
            size = path.stat().st_size / 1e6
            ratios[name] = plain / gate
            typer.echo(f"{name:26} {size / plain:4.0f} MB/s {size / gate:4.0f} MB/s {ratios[name]:6.2f}")
    what = f"QUICK gate, {len(ratios)} shapes of rows"
    figure = Figure(what, "msgspec decoding the same bytes", list(ratios.values()), at_least=0.4)
    write_results("gate", [figure], details={"ratios": ratios})


if __name__ == "__main__":
    typer.run(main)
