"""Where people read about quests, put new ones down, and look into them row by row."""
