"""The lanes below `queue/`: reading them, moving between them, keeping them in order. For the quest board only."""
