"""Which rows nearly say what a row of an earlier quest, or of an evaluation set, says (spec 1.2; DEEP)."""

SKETCH_SUFFIX = ".sketch"
"""Of the files in `queue/.sketches/`, one for each quest, named by its id."""
