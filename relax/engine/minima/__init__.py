"""Minima: telling them from saddle points, leaving saddle points, and finding the lowest of several."""
