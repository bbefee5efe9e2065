"""Comparing minimizers by force calls, on any structures and with any calculator."""
