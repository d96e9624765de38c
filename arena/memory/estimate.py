"""What one step of training takes at its peak, counted from the sizes of the model and of its largest micro-batch.

The counts are those of a decoder with RMS norms and a gated MLP (Llama, Qwen, Mistral and their like), operation by
operation: what autograd keeps for the backward pass. Other kinds of models take about as much. `tests/arena/memory`
compares with what torch keeps, and with the measured peak of a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from arena.disk.gauge import megabytes
from arena.memory.model_sizes import ModelSizes
from arena.pass_size import read_pass_size
from arena.protocol import QuestSettings

FP32 = 4
MOMENTS = 2
"""Of AdamW, for each weight."""

CHUNK_LOGITS = 1 << 25
"""Logits that the trainer holds at once at most; a larger set of targets is taken in parts."""

UNMEASURED = 4096
"""Tokens of a micro-batch that are reckoned with until the trainer has measured how many are best."""

MOST_OF_FREE = 0.9
"""Part of what is free that a step may be expected to take; an estimate is one."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes at the peak of a step, beside what the process takes without a model."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    tokens: int
    """Tokens of the largest micro-batch."""
    gradient_checkpointing: bool

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits

    @property
    def told(self) -> str:
        """For people: `2.1 GB (weights 0.4 GB, ...)`."""
        parts = ("weights", "gradients", "optimizer", "activations", "logits")
        shares = ", ".join(f"{name} {megabytes(getattr(self, name))}" for name in parts)
        again = ", gradient checkpointing" if self.gradient_checkpointing else ""
        return f"{megabytes(self.total)} ({shares}; {self.tokens} tokens at a time{again})"


def estimate_memory(
    sizes: ModelSizes, settings: QuestSettings, *, precision: str, gradient_checkpointing: bool
) -> MemoryEstimate:
    """The most that a step under these settings takes: full micro-batches in which every token is a target."""
    tokens = most_tokens(settings)
    half = precision == "bf16"
    layer = tokens * (_bytes_of_layer(sizes, half=half) + FP32 * sizes.kept_by_adapters // sizes.layers)
    if gradient_checkpointing:
        # What goes into each layer is kept, and one layer at a time is computed again.
        layers = sizes.layers * tokens * FP32 * sizes.hidden + layer
    else:
        layers = sizes.layers * layer
    rows = min(tokens, max(1, CHUNK_LOGITS // sizes.vocabulary))
    return MemoryEstimate(
        weights=FP32 * sizes.parameters,
        gradients=FP32 * sizes.with_gradients,
        optimizer=MOMENTS * FP32 * sizes.with_gradients,
        activations=layers + _bytes_around(sizes, tokens, half=half),
        logits=rows * sizes.vocabulary * (14 if half else 12),
        tokens=tokens,
        gradient_checkpointing=gradient_checkpointing,
    )


def fitting_estimate(
    sizes: ModelSizes, settings: QuestSettings, *, precision: str, wish: str, free_bytes: int, held: bool = False
) -> MemoryEstimate:
    """What a step takes, with gradient checkpointing as `wish` says: `always`, `never`, or `auto`, where it is needed.

    `held` when the weights are in memory already and so not in what is free.
    """
    if wish == "auto":
        plain = estimate_memory(sizes, settings, precision=precision, gradient_checkpointing=False)
        wish = "never" if fits(plain, free_bytes, held=held) else "always"
    return estimate_memory(sizes, settings, precision=precision, gradient_checkpointing=wish == "always")


def fits(estimate: MemoryEstimate, free_bytes: int, *, held: bool = False) -> bool:
    """Whether a step is expected to find room; see `fitting_estimate`."""
    return estimate.total - (estimate.weights if held else 0) <= MOST_OF_FREE * free_bytes


def most_tokens(settings: QuestSettings) -> int:
    """Tokens of the largest micro-batch that can occur."""
    budget = settings.micro_batch_tokens or UNMEASURED
    return max(settings.max_length, min(budget, settings.rows_per_step * settings.max_length))


def with_measured_pass(settings: QuestSettings, current_model: Path) -> QuestSettings:
    """The settings with the size of a pass that the trainer has measured for this model, where they leave it to him."""
    measured = None if settings.micro_batch_tokens else read_pass_size(current_model)
    return replace(settings, micro_batch_tokens=measured.tokens) if measured else settings


def _bytes_of_layer(sizes: ModelSizes, *, half: bool) -> int:
    """What one layer keeps of each token for its backward pass."""
    projected = sizes.queries + sizes.keys
    # What a norm scales is kept for the gradient of its weights alone, of which adapters leave none.
    spared = 0 if sizes.trained is None else FP32 * (2 * sizes.hidden + projected)
    if not half:
        # Two norms keep what goes in, what is scaled, and what comes out; query and key norms the first two of these,
        # and attention what it gets and gives; the MLP both its branches, the activated one, and their product.
        return FP32 * (6 * sizes.hidden + 4 * projected + 4 * sizes.intermediate) - spared
    # Norms work in fp32; each of the five products takes a copy of its own in bf16.
    return 26 * sizes.hidden + 10 * projected + 8 * sizes.intermediate - spared


def _bytes_around(sizes: ModelSizes, tokens: int, *, half: bool) -> int:
    """Outside of the layers: the last norm and the states at targets; gradients on their way through one layer."""
    states = 5 * FP32 * sizes.hidden
    passing = FP32 * (2 * sizes.hidden + 3 * sizes.intermediate) // (2 if half else 1)
    # Under autocast every matrix has a copy in bf16; a gradient is whole before it is added to the one that is kept.
    copies = 2 * sizes.parameters if half else 0
    largest = sizes.vocabulary * sizes.hidden if sizes.trained is None else 0
    return tokens * (states + passing) + copies + FP32 * largest
