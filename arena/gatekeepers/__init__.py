"""The gatekeepers: what a dropped file must be before it becomes a quest. Torch-free; runs in the scribe."""
