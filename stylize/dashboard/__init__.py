"""Dashboards of listening trials: a folder that needs no server, and a run of Weights & Biases."""
