"""Structures per second, in batches and one by one."""
