"""Experiments about the system; nothing of it is installed."""
