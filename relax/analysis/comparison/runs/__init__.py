"""One run of a minimizer: its force calls, counted, and how it ended."""
