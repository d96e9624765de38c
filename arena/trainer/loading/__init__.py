"""What a trainer begins with: the model, and the checkpoint that it goes on from."""
