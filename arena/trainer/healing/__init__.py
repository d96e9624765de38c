"""What the trainer does about steps that cannot be made or must not count (ADR 0012)."""
