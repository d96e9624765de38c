"""The profiles by name. The registry is closed; an unknown name is an error, never a fallback (failure D12)."""

from __future__ import annotations

import difflib

from core.errors import InvalidInput
from guild.profiles.chatml import CHATML
from guild.profiles.definition import Profile
from guild.profiles.emoji_think import EMOJI_THINK
from guild.profiles.native import NATIVE
from guild.profiles.regime3 import REGIME3

_PROFILES = {profile.name: profile for profile in (CHATML, NATIVE, EMOJI_THINK, REGIME3)}
_OTHER_NAMES = {"plain": CHATML.name}
"""The seed's `plain`, a chat as it stands, is what `chatml` is."""


def profile_names() -> list[str]:
    """Names of all profiles, in alphabetical order."""
    return sorted(_PROFILES)


def get_profile(name: str) -> Profile:
    """The profile of that name; raises `InvalidInput` naming the known ones (failure D12)."""
    try:
        return _PROFILES[_OTHER_NAMES.get(name, name)]
    except KeyError:
        close = difflib.get_close_matches(name, [*_PROFILES, *_OTHER_NAMES], n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]}?" if close else f"The profiles are {', '.join(profile_names())}."
        raise InvalidInput(f"There is no profile named {name!r}.", hint=hint) from None
