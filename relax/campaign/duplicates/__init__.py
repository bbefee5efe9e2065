"""Structures of a campaign that are the same."""
