"""The rows that a step is made of: quests taken up, tokenized, put in order and cut into micro-batches."""
