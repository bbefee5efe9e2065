"""The commands ``relax campaign``."""
