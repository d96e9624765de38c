"""The disk under a running realm: how much room there is, what is kept back, and what stands still while it fails."""
