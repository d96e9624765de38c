"""Plans from the first process to the others, while there is nothing to do and when one of them is gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from arena.trainer.__main__ import _part, _ran_out_of_memory
from arena.trainer.scaling.company import Company, PartnerLost
from arena.trainer.scaling.membership import Membership
from arena.trainer.scaling.plans import Drop, End, Replicate, TensorLayout
from tests.arena.trainer.scaling.together import in_company
from tests.waiting import wait_until

SHORT = 5.0
"""Seconds that one process waits for another, in place of half an hour."""


def wait_for_longer() -> None:
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 1.4 * SHORT, every=0.2)


def tell_for_ever(company: Company) -> None:
    while True:
        company.tell(Drop())


def test_nobody_waits_into_the_timeout_on_an_empty_board(tmp_path: Path) -> None:
    """Idle plans go out from a thread, whatever the first process does meanwhile."""

    def wait_for_a_quest(company: Company) -> object:
        if company.rank:
            return [type(company.next_plan()).__name__ for _ in range(2)]
        wait_for_longer()
        company.tell(Drop())
        company.part()
        return None

    answers = in_company(tmp_path / "meeting", 3, wait_for_a_quest, timeout_seconds=SHORT)
    assert answers == [None, ["Drop", "End"], ["Drop", "End"]]


def test_without_idle_plans_they_do(tmp_path: Path) -> None:
    """Else the test above could not fail."""

    def wait_in_vain(company: Company) -> object:
        if company.rank:
            return company.next_plan()
        company._over.set()
        wait_for_longer()
        return None

    answers = in_company(tmp_path / "meeting", 2, wait_in_vain, timeout_seconds=SHORT)
    assert isinstance(answers[1], PartnerLost)


def test_plans_of_any_length_arrive_whole(tmp_path: Path) -> None:
    plans = [
        Replicate(moments=[[TensorLayout("exp_avg", "float32", [length])] * length]) for length in (0, 1, 20, 21, 5000)
    ]

    def tell_or_hear(company: Company) -> object:
        if company.rank:
            return [company.next_plan() for _ in range(len(plans) + 1)]
        for plan in plans:
            company.tell(plan)
        company.part()
        return None

    answers = in_company(tmp_path / "meeting", 2, tell_or_hear)
    assert answers[1] == [*plans, End()]


def test_a_process_that_is_gone_is_noticed_and_why_it_went_is_told(tmp_path: Path) -> None:
    place = tmp_path / "meeting"

    def lose(company: Company) -> object:
        if company.rank:
            Membership(company.rank, company.size, place).note_failure("it had enough")
            (place / "through-1").touch()
            os._exit(1)
        with pytest.raises(PartnerLost) as lost:
            tell_for_ever(company)
        company._over.set()
        return str(lost.value)

    answers = in_company(place, 2, lose, answering=1)
    assert answers == ["Of the 2 processes of the trainer, process 1 failed: it had enough"]


def test_one_that_is_gone_when_all_is_saved_makes_no_failure_of_it(tmp_path: Path) -> None:
    """B13: the first process left as one that had crashed, after its last checkpoint."""
    place = tmp_path / "meeting"

    def part(company: Company) -> object:
        if company.rank:
            (place / "through-1").touch()
            os._exit(1)
        wait_until(lambda: not _answers(company), timeout=10)
        _part(company)
        return "home"

    assert in_company(place, 2, part, answering=1) == ["home"]


def _answers(company: Company) -> bool:
    try:
        company.tell(Drop())
    except PartnerLost:
        return False
    return True


def test_why_another_one_went_may_be_its_memory(tmp_path: Path) -> None:
    """D7: the next trainer makes the step smaller then."""
    place = tmp_path / "meeting"

    def lose(company: Company) -> object:
        if company.rank:
            Membership(company.rank, company.size, place).note_failure("it had enough", out_of_memory=True)
            (place / "through-1").touch()
            os._exit(1)
        with pytest.raises(PartnerLost) as lost:
            tell_for_ever(company)
        company._over.set()
        return _ran_out_of_memory(lost.value)

    assert in_company(place, 2, lose, answering=1) == [True]


def test_what_torchrun_tells_is_taken_out_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accelerate forms a group of its own where it finds it."""
    told = {
        "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1", "GROUP_RANK": "0", "ROLE_NAME": "default", "TORCHELASTIC_RUN_ID": "1",
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    membership = Membership.from_torchrun(tmp_path)
    assert (membership.rank, membership.size) == (1, 2)
    assert not told.keys() & os.environ.keys()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"


def test_a_follower_that_torchrun_has_left_behind_waits_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    membership = Membership(1, 2, tmp_path)
    parents = iter([17, 17, 17, 1, 17])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    assert not membership.wait_for_call()
    Membership(0, 2, tmp_path).call()
    assert membership.wait_for_call()
