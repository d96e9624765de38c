"""The academy: feeds the quest board with generated quests, and makes of their examinations what is learned next."""
