"""Checks of ``relax run``."""
