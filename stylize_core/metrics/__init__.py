"""Metrics between waveforms and between sets of embeddings."""
