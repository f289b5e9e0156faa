"""Rendering of a corpus in GTZAN's layout: the same seeded songs played in all ten genres."""
