"""Says what torch finds on this machine, as one line of JSON: `python -m arena.trainer.loading.device_probe`."""

from __future__ import annotations

import json
import sys

import torch


def probe() -> dict[str, object]:
    """`torch` (version), `threads` on the CPU, and `cuda`: the names of its devices, empty without any."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(index) for index in range(count)],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe()) + "\n")
