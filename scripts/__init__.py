"""Thin entry points: parse, build, run."""
