"""What torch can do on a device, found out by asking it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from arena.memory.machine import free_memory

AMPERE = (8, 0)
"""CUDA compute capability from which on there are TF32, bf16 and the attention kernel for packed rows."""

BF16_OF_CPUS = ("amx_bf16", "avx512_bf16", "bf16")
"""Instruction sets, the last one of ARM."""


@dataclass(frozen=True)
class Capability:
    """Of one device; what is False works all the same where it changes speed only (`bf16`), else it is left out."""

    device: str
    """`cpu` or `cuda`."""
    name: str
    bf16: bool
    """Whether it has instructions for bf16; without them, bf16 is slower than fp32."""
    tf32: bool
    varlen: bool
    """Whether torch has its attention kernel for packed rows here."""
    free_bytes: int
    """Memory that is left."""


def look_at(device: str, sharers: int = 1) -> Capability:
    """Ask torch about `cpu`, which so many processes share, or about the first `cuda` device."""
    if device == "cpu":
        found = torch.cpu.get_capabilities()
        bf16 = any(found.get(name) for name in BF16_OF_CPUS)
        return Capability("cpu", "CPU", bf16=bf16, tf32=False, varlen=False, free_bytes=free_memory() // sharers)
    is_ampere = torch.cuda.get_device_capability() >= AMPERE
    return Capability(
        "cuda",
        torch.cuda.get_device_name(),
        bf16=torch.cuda.is_bf16_supported(including_emulation=False),
        tf32=is_ampere,
        varlen=is_ampere and torch.backends.cuda.is_flash_attention_available(),
        free_bytes=torch.cuda.mem_get_info()[0],
    )
