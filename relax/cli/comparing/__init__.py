"""The command ``relax compare``."""
