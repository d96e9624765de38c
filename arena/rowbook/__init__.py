"""The row-level chronicle: with which loss, and at which step, each row of a quest was learned first and last."""

SUFFIX = ".rows"
"""Of the files in `queue/.rows/`, one for each quest, named by its id."""
