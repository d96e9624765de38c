"""torch's attention kernel for packed rows, given a CPU implementation of what its documentation promises.

With it, everything up to the kernel runs here as on a GPU: `varlen_attn`, its checks, its autograd.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn.attention import varlen

calls: list[int] = []
"""Tokens of each call."""

Row = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def _rows(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, ends: torch.Tensor, scale: float | None
) -> Iterator[Row]:
    """Of each row: scaled query, key and value in fp32, [query heads, tokens, width], and the weights of attention."""
    shared = query.shape[1] // key.shape[1]
    for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        asked, keys, values = (each[start:end].float().transpose(0, 1) for each in (query, key, value))
        asked = asked * (scale if scale is not None else query.shape[2] ** -0.5)
        keys, values = (each.repeat_interleave(shared, dim=0) for each in (keys, values))
        later = torch.ones(end - start, end - start, dtype=torch.bool).triu(1)
        yield asked, keys, values, (asked @ keys.mT).masked_fill(later, -torch.inf).softmax(-1)


def _forward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, cu_seq_q: torch.Tensor, cu_seq_k: torch.Tensor | None,
    max_q: int, max_k: int, is_causal: bool = False, scale: float | None = None,
    window_size: list[int] | None = None, enable_gqa: bool = False, seqused_k: torch.Tensor | None = None,
    block_table: torch.Tensor | None = None, num_splits: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    assert is_causal
    assert window_size == [-1, 0]
    assert query.dtype == key.dtype == value.dtype == torch.bfloat16, "the kernel has no fp32"
    assert cu_seq_q.dtype == torch.int32
    assert max_q == max_k == int(cu_seq_q.diff().max())
    assert enable_gqa == (query.shape[1] != key.shape[1])
    calls.append(len(query))
    mixed = [(weights @ values).transpose(0, 1) for _, _, values, weights in _rows(query, key, value, cu_seq_q, scale)]
    out = torch.cat(mixed).to(query.dtype)
    return out, torch.zeros(query.shape[1], len(query)), torch.zeros(2, dtype=torch.uint64)


def _backward(
    grad_out: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, out: torch.Tensor,
    lse: torch.Tensor, cu_seq_q: torch.Tensor, cu_seq_k: torch.Tensor, max_q: int, max_k: int, is_causal: bool,
    rng_state: torch.Tensor, scale: float | None = None, window_size: list[int] | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """By hand, as an operator's implementation runs below autograd."""
    heads, width = key.shape[1], query.shape[2]
    scaled = scale if scale is not None else width**-0.5
    found: list[list[torch.Tensor]] = [[], [], []]
    given = grad_out.float().transpose(0, 1).split(cu_seq_q.diff().tolist(), dim=1)
    for (asked, keys, values, weights), grad in zip(_rows(query, key, value, cu_seq_q, scale), given, strict=True):
        of_weights = grad @ values.mT
        of_scores = weights * (of_weights - (of_weights * weights).sum(-1, keepdim=True))
        found[0].append(of_scores @ keys * scaled)
        for place, each in ((1, of_scores.mT @ asked), (2, weights.mT @ grad)):
            found[place].append(each.unflatten(0, (heads, -1)).sum(1))
    first, second, third = (torch.cat(parts, dim=1).transpose(0, 1).contiguous().to(query.dtype) for parts in found)
    return first, second, third


def give_cpu_a_kernel() -> None:
    """Once per process."""
    if not calls:
        torch.library.register_kernel(varlen._varlen_attn, "cpu", _forward)
        torch.library.register_kernel(varlen._varlen_attn_backward, "cpu", _backward)
        calls.append(0)
