"""Says what torch finds on this machine and what a trainer makes of the settings there, as one line of JSON.

`python -m arena.trainer.loading.device_probe WISHES`; the wishes are a JSON object: `device` as in the settings, and
the fields of `Wishes`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import torch

from arena.trainer.computing.capability import look_at
from arena.trainer.computing.settling import Wishes, settle, told
from core.errors import first_line


def probe(device: str, wishes: Wishes) -> dict[str, Any]:
    """`torch` (version), `threads` on the CPU, `cuda` (names of its devices); of the chosen device its `machine`,
    how a model that does not object is computed there (`computing`), and what is not as wished (`notes`).
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    machine = look_at("cuda" if count and device != "cpu" else "cpu")
    arithmetic, notes = settle(wishes, machine, lambda attention, precision: None)
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(index) for index in range(count)],
        "machine": asdict(machine),
        "computing": told(arithmetic),
        "notes": notes,
    }


def answer(given: dict[str, Any]) -> dict[str, Any]:
    """What is found; instead of it, an `error` of a device that gives no answer, with torch loaded as it should be."""
    try:
        return probe(given.pop("device"), Wishes(**given))
    except RuntimeError as error:
        return {"error": first_line(error)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(answer(json.loads(sys.argv[1]))) + "\n")
