"""A rehearsal of the worst on a copy of the hero: trained straight on, and trained with ends and kills in between."""
