"""The hall of heroes: who there is, who trains, whose models are archived, and how new ones come."""
