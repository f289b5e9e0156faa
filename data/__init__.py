"""Datasets: styles and splits, training segments, recordings for vocoders, and the corpus renderer."""
