"""What is learned when: levels, rehearsal, and what makes a quest. Pure: no disk, no clock, no chance."""
