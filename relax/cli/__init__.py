"""The command ``relax``."""
