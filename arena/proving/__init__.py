"""Proving waiting quests at level STANDARD, ahead of their claim."""
