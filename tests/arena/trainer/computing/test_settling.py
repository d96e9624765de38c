"""What becomes of the settings on machines with more or less in them, and of claims made on another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from arena.journal import ClaimEntry
from arena.protocol import Arithmetic
from arena.trainer.computing.capability import Capability, look_at
from arena.trainer.computing.settling import Wishes, check_claims, settle, told
from core.errors import Conflict
from tests.arena.trainer.tiny_hero import settings

PLAIN_CPU = Capability("cpu", "CPU", bf16=False, tf32=False, varlen=False, free_bytes=8 << 30)
OLD_GPU = Capability("cuda", "Tesla V100", bf16=False, tf32=False, varlen=False, free_bytes=16 << 30)
GPU = Capability("cuda", "RTX 4090", bf16=True, tf32=True, varlen=True, free_bytes=24 << 30)


def nothing(attention: str, precision: str) -> None:
    """The model takes everything."""


def everything(attention: str, precision: str) -> str:
    return "the model wants sliding_window of attention"


def no_kernel(attention: str, precision: str) -> str | None:
    return "the kernel knows no dropout" if attention == "varlen" else None


@pytest.mark.parametrize(
    ("machine", "wishes", "attention"),
    [
        (PLAIN_CPU, Wishes("bf16", "auto"), "rows"),
        (PLAIN_CPU, Wishes("fp32", "always"), "rows"),
        (PLAIN_CPU, Wishes("fp32", "never"), "padded"),
        (OLD_GPU, Wishes("bf16", "auto"), "padded"),
        (GPU, Wishes("bf16", "auto"), "varlen"),
        (GPU, Wishes("bf16", "never"), "padded"),
        (GPU, Wishes("fp32", "auto"), "padded"),
        (GPU, Wishes("fp32", "always"), "rows"),
    ],
)
def test_rows_are_packed_on_a_cpu_where_the_kernel_is_and_where_that_is_wanted(
    machine: Capability, wishes: Wishes, attention: str
) -> None:
    arithmetic, _ = settle(wishes, machine, nothing)
    assert arithmetic == Arithmetic(precision=wishes.precision, attention=attention)


def test_a_model_that_cannot_be_packed_is_padded_and_the_reason_is_told() -> None:
    for wish in ("auto", "always"):
        arithmetic, notes = settle(Wishes("bf16", wish), GPU, everything)
        assert arithmetic.attention == "padded"
        assert notes == ["rows are padded, not packed: the model wants sliding_window of attention"]
    assert settle(Wishes("bf16", "auto"), GPU, no_kernel)[0].attention == "padded"
    assert settle(Wishes("bf16", "always"), GPU, no_kernel)[0].attention == "rows"
    assert settle(Wishes("bf16", "auto"), PLAIN_CPU, everything)[1] == [
        "CPU has no instructions for bf16: it is computed, but slower than fp32",
        "rows are padded, not packed: the model wants sliding_window of attention",
    ]


def test_tf32_is_left_out_where_there_is_none() -> None:
    assert settle(Wishes("fp32", tf32=True), GPU, nothing) == (Arithmetic(tf32=True), [])
    arithmetic, notes = settle(Wishes("fp32", tf32=True), OLD_GPU, nothing)
    assert not arithmetic.tf32
    assert notes == ["trainer.tf32 is left out, as Tesla V100 has no TF32"]


def test_layers_are_compiled_on_demand_where_they_can_be() -> None:
    wish, tried = Wishes("fp32", compile=True), []

    def can(arithmetic: Arithmetic) -> None:
        tried.append(arithmetic)

    assert settle(wish, PLAIN_CPU, nothing, can) == (Arithmetic(compiled=True), [])
    assert tried == [Arithmetic(compiled=True)]
    assert settle(wish, PLAIN_CPU, nothing, lambda arithmetic: "its kernels fit one shape only") == (
        Arithmetic(), ["trainer.compile is left out: its kernels fit one shape only"],
    )  # fmt: skip
    bare = replace(GPU, uncompilable="Triton is not installed")
    assert settle(wish, bare, nothing, can)[1] == ["trainer.compile is left out: Triton is not installed"]
    assert len(tried) == 1, "nothing is tried where it cannot be"
    with pytest.raises(Conflict, match=r"compiled.*Triton is not installed"):
        check_claims([claim(compiled=True)], bare, nothing)
    check_claims([claim(compiled=True)], GPU, nothing)


def claim(**arithmetic: Any) -> ClaimEntry:
    chosen = Arithmetic(**arithmetic) if arithmetic else None
    return ClaimEntry(
        seq=2, at="2026-11-21T09:00:00+00:00", ordinal=1, quest_id="q", name="x.jsonl", content_hash="", schema_id="",
        rows=1, settings=msgspec.structs.replace(settings(), arithmetic=chosen),
    )  # fmt: skip


def test_a_claim_is_computed_as_it_says_or_not_at_all() -> None:
    """Law 3: what a claim was computed with is never chosen anew at a replay."""
    for fine in (claim(), claim(precision="bf16"), claim(attention="rows")):
        check_claims([fine], PLAIN_CPU, no_kernel)
    check_claims([claim(precision="bf16", attention="varlen", tf32=True)], GPU, nothing)
    for machine, other, why in (
        (PLAIN_CPU, claim(precision="bf16", attention="varlen"), "no attention kernel for packed rows on CPU"),
        (OLD_GPU, claim(tf32=True), "Tesla V100 has no TF32"),
        (GPU, claim(precision="bf16", attention="varlen"), "the kernel knows no dropout"),
    ):
        with pytest.raises(Conflict, match=why) as refused:
            check_claims([claim(), other], machine, no_kernel)
        assert "realm rewind latest --requeue" in str(refused.value.hint)


def test_what_was_settled_is_told_in_the_words_of_the_field() -> None:
    assert told(Arithmetic()) == "fp32, padded rows"
    assert told(Arithmetic(precision="bf16", attention="varlen")) == "bf16, packed rows (varlen)"
    assert told(Arithmetic(tf32=True)) == "fp32, TF32, padded rows"
    assert told(Arithmetic(compiled=True, shares=2)) == "fp32, padded rows, compiled, 2 shares a step"


def test_a_cpu_has_no_gpu_features_and_tells_its_memory() -> None:
    found = look_at("cpu")
    assert (found.device, found.tf32, found.varlen) == ("cpu", False, False)
    assert found.free_bytes > 1 << 20
