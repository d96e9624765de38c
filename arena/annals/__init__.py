"""The histories of models: which checkpoint belongs to which, going back, and beginning from a checkpoint of others."""
