"""Profiles: a closed registry."""

from __future__ import annotations

import pytest

from core.errors import InvalidInput
from guild.profiles import get_profile, profile_names


def test_the_registry_holds_chatml_and_native() -> None:
    assert profile_names() == ["chatml", "native"]
    assert all(get_profile(name).name == name for name in profile_names())


def test_native_keeps_the_models_own_template() -> None:
    assert get_profile("native").chat_template is None


@pytest.mark.parametrize("name", ["none", "", "ChatML", "emoji"])
def test_an_unknown_profile_is_an_error_that_names_the_known_ones(name: str) -> None:
    """D12: an unknown profile silently fell back to another one's logic."""
    with pytest.raises(InvalidInput, match="no profile named") as caught:
        get_profile(name)
    assert "chatml" in str(caught.value)


def test_a_misspelt_profile_is_answered_with_a_suggestion() -> None:
    with pytest.raises(InvalidInput, match=r"Did you mean chatml\?"):
        get_profile("chatlm")
