"""The bytes of a dropped file: what holds them, the lines in them, and the JSON values in those."""
