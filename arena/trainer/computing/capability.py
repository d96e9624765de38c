"""What torch can do on a device, found out by asking it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec

import torch

from arena.memory.machine import free_memory
from arena.trainer.healing.out_of_memory import is_out_of_memory

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
    """Memory that is left; 0 where a GPU is so full that it cannot even be asked."""
    uncompilable: str | None = None
    """Why torch.compile can make no kernels here; None when there is what it needs."""


def look_at(device: str, sharers: int = 1) -> Capability:
    """Ask torch about `cpu`, which so many processes share, or about the first `cuda` device."""
    if device == "cpu":
        found = torch.cpu.get_capabilities()
        bf16 = any(found.get(name) for name in BF16_OF_CPUS)
        return Capability(
            "cpu", "CPU", bf16=bf16, tf32=False, varlen=False, free_bytes=free_memory() // sharers,
            uncompilable=_lack_of(os.environ.get("CXX", "g++")),
        )  # fmt: skip
    is_ampere = torch.cuda.get_device_capability() >= AMPERE
    return Capability(
        "cuda",
        torch.cuda.get_device_name(),
        bf16=torch.cuda.is_bf16_supported(including_emulation=False),
        tf32=is_ampere,
        varlen=is_ampere and torch.backends.cuda.is_flash_attention_available(),
        free_bytes=_free_on_gpu(),
        uncompilable=_lack_of(os.environ.get("CC", "gcc")) if find_spec("triton") else "Triton is not installed",
    )


def _lack_of(compiler: str) -> str | None:
    return None if shutil.which(compiler) else f"there is no compiler {compiler}"


def _free_on_gpu() -> int:
    try:
        return torch.cuda.mem_get_info()[0]
    except RuntimeError as error:
        # To ask, CUDA needs some of it.
        if not is_out_of_memory(error):
            raise
        return 0
