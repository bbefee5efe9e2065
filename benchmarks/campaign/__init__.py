"""Campaigns: under faults, on several engines and processes, and of a million structures."""
