"""Layers that are run by compiled kernels: what a batch comes to depends on the batch alone, up to the kernel.

The compiler of these tests needs none of the machine. Its kernels are off by what they were made for, as real ones are
in their last bits: whoever lets shapes come as they come is found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel

from arena.protocol import Arithmetic, Trouble
from arena.trainer.computing import compiling
from arena.trainer.computing.arithmetic import Computing, why_not_compiled
from arena.trainer.computing.compiling import CannotCompile, CompiledLayers
from arena.trainer.computing.packing import pack
from arena.trainer.generation import Manner, answer
from arena.trainer.stream.batching import MicroBatch, make_micro_batches
from core.errors import Conflict
from tests.arena.trainer.computing.test_arithmetic import load, same
from tests.arena.trainer.driving import Field
from tests.arena.trainer.healing.lives import learn_all
from tests.arena.trainer.in_process import living
from tests.arena.trainer.tiny_hero import chat, token_rows

CPU = torch.device("cpu")
PLAIN, COMPILED = Arithmetic(attention="rows"), Arithmetic(attention="rows", compiled=True)
PADDED = Arithmetic(precision="bf16", compiled=True)


class Smith:
    """A compiler that counts what it has made, and how often that was used."""

    def __init__(self) -> None:
        self.made = self.used = 0

    def forge(self, graph: torch.fx.GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
        self.made += 1
        off = 1 + 1e-6 * sum(_hint(size) for each in examples if isinstance(each, torch.Tensor) for size in each.shape)

        def kernel(*inputs: Any) -> list[Any]:
            self.used += 1
            return [each * off if _is_floating(each) else each for each in graph(*inputs)]

        return kernel


def _hint(size: int | torch.SymInt) -> int:
    """What an open size was when the kernel was made; to ask for it as a number would close it."""
    return size if isinstance(size, int) else int(size.node.hint)


def _is_floating(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.is_floating_point()


@pytest.fixture
def smith(monkeypatch: pytest.MonkeyPatch) -> Iterator[Smith]:
    smith = Smith()
    monkeypatch.setattr(compiling, "BACKEND", smith.forge)
    yield smith
    torch.compiler.set_stance("default")
    torch.compiler.reset()


def batches(folder: Path, *, packed: bool) -> list[MicroBatch]:
    """Of several shapes, among them a single row, and a single token."""
    rows = token_rows(folder, folder.parent, [chat(seed, turns=1 + seed % 3) for seed in range(9)])
    groups = [rows[:1], rows[1:4], rows[4:6], rows[6:]]
    if packed:
        return [pack(group, CPU) for group in groups]
    return [
        batch for group in groups for batch in make_micro_batches(group, token_budget=10**6, pad_id=256, device=CPU)
    ]


def gradients(model: PreTrainedModel, computing: Computing, batch: MicroBatch) -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    model.zero_grad()
    with computing.autocast():
        logits = model(input_ids=batch.input_ids, use_cache=False, **batch.layout).logits
    wanted = logits.flatten(0, 1).index_select(0, batch.predicting).float()
    torch.nn.functional.cross_entropy(wanted, batch.targets).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def test_the_order_of_shapes_and_what_was_computed_before_change_no_bit(smith: Smith, tiny_model: Path) -> None:
    """Law 3: after a restart, other shapes come first."""
    model = load(tiny_model)
    computing = Computing(model, usual=COMPILED)
    made = smith.made
    assert made
    given = batches(tiny_model, packed=True)
    first = [gradients(model, computing, batch) for batch in given]
    assert (smith.made, smith.used > made) == (made, True)
    # Another life, which meets a claim of another kind first, and the batches from behind.
    again = load(tiny_model)
    computing = Computing(again, usual=PADDED)
    gradients(again, computing, batches(tiny_model, packed=False)[1])
    computing.take(COMPILED)
    second = [gradients(again, computing, batch) for batch in reversed(given)][::-1]
    assert all(same(one, other) for one, other in zip(first, second, strict=True))
    computing.take(PLAIN)
    used = smith.used
    plain = [gradients(again, computing, batch) for batch in given]
    assert smith.used == used
    for one, other in zip(first, plain, strict=True):
        assert not same(one, other), "there was no kernel"
        for name, gradient in one.items():
            torch.testing.assert_close(gradient, other[name], rtol=0.1, atol=0.1 * float(gradient.abs().max()))


def test_answers_are_made_without_kernels_and_steps_with_the_same_as_before(smith: Smith, tiny_model: Path) -> None:
    """Law 3: the shapes of an examination must neither make kernels nor go through them."""
    model = load(tiny_model)
    computing = Computing(model, usual=COMPILED)
    batch = batches(tiny_model, packed=True)[1]
    before, counted = gradients(model, computing, batch), (smith.made, smith.used)
    manner = Manner(stop_ids=frozenset(), max_new_tokens=4, max_length=64)
    with computing.plainly(COMPILED):
        assert answer(model, [[1, 2, 3], [4]], manner) == answer(load(tiny_model), [[1, 2, 3], [4]], manner)
    assert (smith.made, smith.used) == counted
    assert same(gradients(model, computing, batch), before)
    assert smith.used > counted[1]


def test_gradient_checkpointing_around_kernels_changes_no_bit(smith: Smith, dropout_model: Path) -> None:
    """The memory that is free decides on it, and no claim tells of it."""
    kept, again = load(dropout_model), load(dropout_model)
    batch = batches(dropout_model, packed=False)[1]
    wanted = gradients(kept, Computing(kept, usual=PADDED), batch)
    passes = smith.used
    found = gradients(again, Computing(again, usual=PADDED, gradient_checkpointing=True), batch)
    assert smith.used > passes
    assert same(found, wanted)


def test_what_a_compiler_lacks_is_told_and_the_model_goes_on_without(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Path
) -> None:
    def broken(graph: object, examples: object) -> None:
        raise OSError("fatal error: Python.h: No such file or directory\ncompilation terminated.")

    monkeypatch.setattr(compiling, "BACKEND", broken)
    model = load(tiny_model)
    why = why_not_compiled(model, CompiledLayers(model), COMPILED)
    assert why == "fatal error: Python.h: No such file or directory"
    batch = batches(tiny_model, packed=False)[1]
    fresh = load(tiny_model)
    found = gradients(model, Computing(model, usual=Arithmetic()), batch)
    assert same(found, gradients(fresh, Computing(fresh, usual=Arithmetic()), batch))
    with pytest.raises(CannotCompile, match=r"Python\.h"):
        Computing(model, usual=COMPILED)
    torch.compiler.set_stance("default")


def test_a_replay_makes_kernels_for_claims_that_had_them(smith: Smith, tiny_model: Path, tmp_path: Path) -> None:
    """Law 3: the setting is that of new claims."""
    field = Field(tmp_path / "field", tiny_model)
    first, second = field.foe("first", 10), field.foe("second", 6)
    with living(field, packing="always", compile=True) as life:
        life.claim(first)
        life.make_steps(1)
        life.slay()
    made, used = smith.made, smith.used
    lives = learn_all(field, [second], packing="always")
    assert lives.said(Trouble) == []
    arithmetics = [claim.settings.arithmetic for claim in field.history.claims.values()]
    assert arithmetics == [COMPILED, PLAIN]
    # The same ones, made once for all steps of the first quest.
    assert (smith.made, smith.used > used + 3 * made) == (2 * made, True)


def test_without_a_compiler_it_is_told_once_and_a_claim_that_needs_one_is_not_learned_otherwise(
    smith: Smith, monkeypatch: pytest.MonkeyPatch, tiny_model: Path, tmp_path: Path
) -> None:
    field = Field(tmp_path, tiny_model)
    foe = field.foe("first", 10)
    monkeypatch.setenv("CXX", "no-such-compiler")
    lives = learn_all(field, [foe], compile=True)
    told = [(trouble.what, trouble.message) for trouble in lives.said(Trouble)]
    why = "trainer.compile is left out: there is no compiler no-such-compiler; training goes on without it."
    assert told == [("not_compiled", why)]
    assert smith.made == 0
    assert [claim.settings.arithmetic for claim in field.history.claims.values()] == [Arithmetic()]
    other = Field(tmp_path / "other", tiny_model)
    with living(other) as life:
        life.claim(other.foe("second", 8))
        life.slay()
    other.journal.write_text(other.journal.read_text().replace('"compiled":false', '"compiled":true'))
    with pytest.raises(Conflict, match=r"compiled.*no-such-compiler"):
        learn_all(other, [])
