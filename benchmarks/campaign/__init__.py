"""Campaigns: faults, engines, scale."""
