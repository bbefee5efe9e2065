"""Molecules of the G2 set."""
