"""Preparing training data: one command with a sub-command for each kind."""
