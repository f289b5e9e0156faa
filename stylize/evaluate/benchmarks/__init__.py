"""Benchmarks on data sets: the translator's, the vocoder's, and the check for leaks. Not in the wheel."""
