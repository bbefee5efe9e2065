"""Paths and results, read one structure at a time."""
