"""Achievements: what the hero and his keeper have done, each a fact from the realm's own records, earned once."""
