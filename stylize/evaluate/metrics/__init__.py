"""Metrics of waveforms and of sets of them, and the statistics of their figures."""
