"""Gradients that several processes add up are those of one process, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from arena.trainer.healing.out_of_memory import died_of_memory
from arena.trainer.scaling import exchange
from arena.trainer.scaling.company import Company, OutOfStep, PartnerLost
from arena.trainer.scaling.exchange import Compute, add_up_alone, add_up_together
from tests.arena.trainer.scaling.together import in_company

SIZES = [(3, 5), (7,), (2, 2), (1,), (4,)]
UNUSED = 4
"""The weight that no share has a gradient for; the one before has one in odd shares only."""
MOST_SHARES = 5
NUMBERS = 4
"""What each share tells: its part of the loss, and of three rows."""


def weights() -> list[torch.Tensor]:
    return [torch.zeros(size) for size in SIZES]


def computing(into: list[torch.Tensor], fails: int | None = None) -> Compute:
    """Gradients of so different sizes that the order of a sum shows in its bits; one share may run out of memory."""

    def compute(share: int) -> torch.Tensor:
        if share == fails:
            raise MemoryError("too large")
        dice = torch.Generator().manual_seed(share)
        for number, weight in enumerate(into):
            gradient = torch.randn(weight.shape, generator=dice) * 10 ** (3 * (share % 3))
            if number != UNUSED and (number != UNUSED - 1 or share % 2):
                weight.grad = gradient if weight.grad is None else weight.grad + gradient
        return torch.randn(NUMBERS, generator=dice)

    return compute


def sums_of(company: Company) -> list[tuple[torch.Tensor, list[torch.Tensor | None]]]:
    """Loss and gradients for each number of shares, one after the other."""
    found = []
    for shares in range(1, MOST_SHARES + 1):
        own = weights()
        loss = add_up_together(own, shares, computing(own), company, numbers=NUMBERS)
        found.append((loss, [weight.grad for weight in own]))
    return found


@pytest.mark.parametrize("size", [2, 3])
def test_any_number_of_shares_comes_to_the_bits_of_one_process(
    tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BUCKET_ELEMENTS", 16)  # several of them
    answers = in_company(tmp_path / "meeting", size, sums_of)
    for shares in range(1, MOST_SHARES + 1):
        own = weights()
        loss = add_up_alone(own, shares, computing(own))
        for answer in answers:
            assert isinstance(answer, list), answer
            found_loss, gradients = answer[shares - 1]
            assert torch.equal(found_loss, loss)
            for weight, gradient in zip(own, gradients, strict=True):
                assert (gradient is None) is (weight.grad is None)
                assert gradient is None or torch.equal(gradient, weight.grad)
        assert own[UNUSED].grad is None


def test_the_order_of_the_shares_shows_in_the_bits() -> None:
    """Else the test above could not fail."""
    own, other = weights(), weights()
    add_up_alone(own, 4, computing(own))
    backwards = computing(other)
    add_up_alone(other, 4, lambda share: backwards(3 - share))
    assert not torch.equal(own[0].grad, other[0].grad)  # type: ignore[arg-type]


def test_one_without_memory_is_known_to_all_and_the_next_try_counts(tmp_path: Path) -> None:
    def tries(company: Company) -> list[object]:
        own = weights()
        with pytest.raises(MemoryError) as raised:
            add_up_together(own, 4, computing(own, fails=3), company, numbers=NUMBERS)
        left = [weight.grad for weight in own]
        return [str(raised.value), left, add_up_together(own, 4, computing(own), company, numbers=NUMBERS)]

    answers = in_company(tmp_path / "meeting", 2, tries)
    alone = weights()
    loss = add_up_alone(alone, 4, computing(alone))
    assert [answer[0] for answer in answers] == ["another process ran out of it", "too large"]
    for _, left, found in answers:
        assert left == [None] * len(SIZES)
        assert torch.equal(found, loss)


@pytest.mark.parametrize("poor", [0, 1], ids=["the first", "another one"])
def test_without_memory_for_the_exchange_itself_none_goes_on_alone(
    tmp_path: Path, poor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D7: the first made the step again by itself, and the others waited for it until it was taken for hung."""

    def tries(company: Company) -> list[object]:
        if company.rank == poor:
            monkeypatch.setattr(exchange._Bucket, "_flat", out_of_memory)
        own = weights()
        with pytest.raises((OutOfStep, PartnerLost)) as raised:
            add_up_together(own, 2, computing(own), company, numbers=NUMBERS)
        return [type(raised.value), died_of_memory(raised.value)]

    answers = in_company(tmp_path / "meeting", 2, tries, timeout_seconds=3.0)
    assert answers[poor] == [OutOfStep, True]
    assert answers[1 - poor] == [PartnerLost, False]


def out_of_memory(bucket: object, loss: torch.Tensor) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")
