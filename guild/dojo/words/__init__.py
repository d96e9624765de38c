"""What syllacrostic puzzles are made of: words of our own, levels, and heaps of syllables."""
