"""Profiles: a closed registry."""

from __future__ import annotations

import pytest

from core.errors import InvalidInput
from guild.profiles import get_profile, profile_names


def test_the_registry_is_closed() -> None:
    assert profile_names() == ["chatml", "emoji_think", "native", "regime3"]
    assert all(get_profile(name).name == name for name in profile_names())


def test_plain_is_another_name_of_chatml() -> None:
    assert get_profile("plain") is get_profile("chatml")


def test_native_keeps_the_models_own_template() -> None:
    assert get_profile("native").chat_template is None


@pytest.mark.parametrize("name", ["none", "", "ChatML", "xyz"])
def test_an_unknown_profile_is_an_error_that_names_the_known_ones(name: str) -> None:
    """D12: an unknown profile silently fell back to another one's logic."""
    with pytest.raises(InvalidInput, match="no profile named") as caught:
        get_profile(name)
    assert "chatml" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"), [("chatlm", "chatml"), ("emoji", "emoji_think"), ("regime", "regime3"), ("plan", "plain")]
)
def test_a_misspelt_profile_is_answered_with_a_suggestion(name: str, meant: str) -> None:
    """D12: the legacy logic was taken for whatever name there was."""
    with pytest.raises(InvalidInput, match=f"Did you mean {meant}"):
        get_profile(name)
