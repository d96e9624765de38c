"""What memory training takes, told before it begins, and what there is. No torch here."""
