"""Telling minima from saddle points, and leaving saddle points."""
