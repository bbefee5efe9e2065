"""Crystals, relaxed with their cells as in Matbench Discovery."""
