"""Experiments about the system; not part of what is installed. See README.md."""
