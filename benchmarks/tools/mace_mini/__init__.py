"""The small MACE potential of ``data/mace-mini.model``: its training data, its training and its errors."""
