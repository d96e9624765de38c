"""DEEP: what the first rows of a file say, and which rows say it twice. Only warnings, never a refusal (spec 1.2)."""
