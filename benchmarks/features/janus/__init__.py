"""Checks of ``janus geomopt`` of janus-core."""
