"""How many threads torch computes with, in words: part of what people are told of the device."""

from __future__ import annotations

import torch


def told_threads() -> str:
    """`1 thread`, `2 threads`."""
    threads = torch.get_num_threads()
    return "1 thread" if threads == 1 else f"{threads} threads"
