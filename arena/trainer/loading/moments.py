"""Whether the state of an optimizer belongs to a model: found out before the first step, which would fail."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel, Trainer


def moments_misfit(theirs: Any, model: PreTrainedModel) -> str | None:
    """Why the state of an optimizer, as read from a file, cannot go on with `model` in the engine; None when it can.

    torch takes in whatever has the right number of parameters, and fails at the first step.
    """
    # It looks at the model alone; a real Trainer would move the model to a device of its own choice.
    decaying = set(Trainer.get_decay_parameter_names(Trainer.__new__(Trainer), model))
    weights = [(name in decaying, weight.shape) for name, weight in model.named_parameters() if weight.requires_grad]
    shapes = [[shape for decays, shape in weights if decays is group] for group in (True, False)]
    try:
        for mine, group in zip(shapes, theirs["param_groups"], strict=True):
            for shape, number in zip(mine, group["params"], strict=True):
                # A parameter that never had a gradient has no moments yet.
                moments = theirs["state"].get(number)
                if moments and any(moments[name].shape != shape for name in ("exp_avg", "exp_avg_sq")):
                    return "its moments have other shapes than the model"
    except (KeyError, TypeError, ValueError, AttributeError):
        return "it is not an AdamW of this model"
    return None
