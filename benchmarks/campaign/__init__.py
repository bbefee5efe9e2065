"""Campaigns: what they cost beside the relaxation, and how they grow."""
