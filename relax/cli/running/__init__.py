"""The command ``relax run``: structures in, verdicts and files out."""
