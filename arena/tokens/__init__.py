"""A quest's rows as token ids on disk: made once, by the gate before training or by the trainer."""
