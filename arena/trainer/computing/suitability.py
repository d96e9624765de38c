"""Whether a model can be trained with packed rows: found out by packing two, whatever it says of itself."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from arena.trainer.computing.arithmetic import autocast
from arena.trainer.computing.attention import implementation_of
from arena.trainer.computing.packing import PackedBatch, pack
from arena.trainer.healing.out_of_memory import is_out_of_memory
from arena.trainer.stream.batching import TokenRow
from core.errors import first_line

TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2}
"""How far a hidden state may be off by rounding, as part of the largest one."""


def why_not_packed(model: PreTrainedModel, attention: str, precision: str) -> str | None:
    """None when rows packed together come out as rows alone, else the reason why they must not be packed.

    `attention` is `rows` or `varlen`. Model and random state are left as they were.
    """
    if limited := _limited_layers(model):
        return f"layers of the model do not see all of a row ({', '.join(limited)})"
    before, was_training, device = model.config._attn_implementation, model.training, model.device
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.no_grad(),
        autocast(precision, device),
    ):
        try:
            return _try(model, attention, TOLERANCE[precision])
        # Models refuse what they do not know with any of these, torch what the device does not have.
        except (TypeError, ValueError, RuntimeError, LookupError, AttributeError) as error:
            if is_out_of_memory(error):
                raise
            return first_line(error)
        finally:
            model.set_attn_implementation(before)
            model.train(was_training)


def _try(model: PreTrainedModel, attention: str, tolerance: float) -> str | None:
    if model.base_model is model:
        return "the model has no body apart from its head"
    model.train(False)
    first, other, second = _row(model, 1, length=5), _row(model, 2, length=5), _row(model, 3, length=9)
    wanted = model.base_model(input_ids=pack([second], model.device).input_ids, use_cache=False).last_hidden_state
    name = implementation_of(attention)
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        return "the attention of the model cannot be replaced"
    packed = pack([first, second], model.device)
    found, again = (
        _states(model, batch)[:, len(first.token_ids) :] for batch in (packed, pack([other, second], model.device))
    )
    if not torch.equal(found, again):
        return "rows of the model see each other"
    if (found - wanted).abs().max() > tolerance * wanted.abs().max():
        return "packed rows come out otherwise than rows alone"
    model.train(True)
    # Dropout is asked for in training only, and a kernel may refuse the way back alone.
    with torch.enable_grad():
        trained = next(weight for weight in model.parameters() if weight.requires_grad)
        torch.autograd.grad(_states(model, packed).sum(), trained)
    return None


def _limited_layers(model: PreTrainedModel) -> list[str]:
    """Windows, chunks and recurrent states; many models have them in their masks only, which are not made here."""
    config = model.config.get_text_config()
    if kinds := getattr(config, "layer_types", None):
        return sorted(set(kinds) - {"full_attention"})
    names = ["sliding_window"] if getattr(config, "use_sliding_window", True) else []
    return [name for name in (*names, "attention_chunk_size") if getattr(config, name, None)]


def _states(model: PreTrainedModel, batch: PackedBatch) -> torch.Tensor:
    states: torch.Tensor = model.base_model(
        input_ids=batch.input_ids, use_cache=False, **batch.layout
    ).last_hidden_state
    return states


def _row(model: PreTrainedModel, seed: int, *, length: int) -> TokenRow:
    vocabulary = model.config.get_text_config().vocab_size
    ids = np.random.default_rng(seed).integers(0, vocabulary, size=length, dtype=np.int32)
    return TokenRow(line=1, token_ids=ids, trained=np.ones(length, dtype=bool))
