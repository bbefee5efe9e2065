"""Campaigns: many structures relaxed by many processes, with all of the state in a folder."""
