"""STANDARD: rows as the model will see them, measured in tokens before they are trained."""
