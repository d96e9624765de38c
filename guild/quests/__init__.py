"""Quests that the guild makes by itself: their rows, and the sheets of their examinations."""
