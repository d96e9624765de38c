"""What binary arithmetic consists of: operations, notation, levels."""
