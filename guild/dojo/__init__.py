"""The dojo: problems with answers that a rule can check, by skill and level."""
