"""Checkpoints of the trainer: when they are made, what they hold, and how they get to the disk."""
