"""Profiles: how a chat becomes text, and what of the model's text is its answer."""

from guild.profiles.answers import plain_answer
from guild.profiles.chatml import CHATML_TEMPLATE
from guild.profiles.definition import Profile
from guild.profiles.registry import get_profile, profile_names

__all__ = ["CHATML_TEMPLATE", "Profile", "get_profile", "plain_answer", "profile_names"]
