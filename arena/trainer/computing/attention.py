"""Attention within packed rows, as implementations that transformers calls by name.

`rows` takes one call of torch's own attention for each row, anywhere. `varlen` is one call of the kernel that torch
brings for GPUs, which takes bf16 only and no dropout. Models that ask for more than causal attention (windows, caps,
sinks) are refused, which `computing.suitability` finds out at load.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

NOT_PLAIN = ("sliding_window", "softcap", "s_aux", "position_bias")
"""What models may ask of attention that is not done here."""


class NotPlain(ValueError):
    """The model wants more of attention than packed rows offer."""


Kernel = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int, float | None, float], torch.Tensor]
"""From query, key and value [1, heads, tokens, width], row ends, longest row, scale and dropout to the same shape as
the query, its heads and tokens exchanged: [1, tokens, heads, width]."""


def attend_row_by_row(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    row_ends: torch.Tensor,
    longest: int,
    scale: float | None,
    dropout: float,
) -> torch.Tensor:
    """The reference: each row by a call of its own."""
    lengths = row_ends.diff().tolist()
    # `split` has one gradient for all its parts; slices would each make one as long as all rows together.
    asked, keys, values = (torch.split(each, lengths, dim=2) for each in (query, key, value))
    shared = query.shape[1] != key.shape[1]
    parts = [
        scaled_dot_product_attention(
            one, seen, taken, dropout_p=dropout, is_causal=True, scale=scale, enable_gqa=shared
        )
        for one, seen, taken in zip(asked, keys, values, strict=True)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2)


def attend_by_kernel(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    row_ends: torch.Tensor,
    longest: int,
    scale: float | None,
    dropout: float,
) -> torch.Tensor:
    """All rows by one call."""
    if dropout:
        raise NotPlain("the kernel knows no dropout")
    # Autocast does not reach it, and norms leave queries and keys in fp32.
    asked, keys, values = (each.squeeze(0).transpose(0, 1).to(torch.bfloat16) for each in (query, key, value))
    mixed = varlen_attn(
        asked, keys, values, row_ends, row_ends, longest, longest, scale=scale, window_size=(-1, 0),
        enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    if not isinstance(mixed, torch.Tensor):
        raise TypeError("the kernel gave more than was asked for")
    return mixed.unsqueeze(0)


def _attend(
    kernel: Kernel,
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **told: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in each layer; `told` holds the layout of a packed batch."""
    if attention_mask is not None:
        raise NotPlain("the model makes an attention mask of its own")
    if asked := [name for name in NOT_PLAIN if told.get(name) is not None]:
        raise NotPlain(f"the model wants {', '.join(asked)} of attention")
    row_ends = told.get("cu_seq_lens_q")
    if row_ends is None:
        # Each row has a line of its own.
        return sdpa_attention_forward(module, query, key, value, None, dropout=dropout, scaling=scaling, is_causal=True)
    return kernel(query, key, value, row_ends, told["max_length_q"], scaling, dropout), None


KERNELS: dict[str, Kernel] = {"rows": attend_row_by_row, "varlen": attend_by_kernel}
"""By the attention of `arena.protocol.Arithmetic`."""


def implementation_of(attention: str, *, apart: bool = False) -> str:
    """The name under which transformers knows it; made known first, if need be.

    `apart` keeps torch.compile from looking into it: where rows end is known only when they are there.
    """
    name = f"realm_{attention}_apart" if apart else f"realm_{attention}"
    if name not in ALL_ATTENTION_FUNCTIONS:
        attend = partial(_attend, KERNELS[attention])
        untraced: Callable[..., Any] = torch.compiler.disable  # without types of its own
        AttentionInterface.register(name, untraced(attend) if apart else attend)
    return name
