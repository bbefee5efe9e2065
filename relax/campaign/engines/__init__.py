"""Engines: executors in whose workers a campaign is relaxed."""
