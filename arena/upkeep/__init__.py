"""What a running realm does for itself: putting things in order, deleting, copying and reading again."""
