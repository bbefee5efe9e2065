"""Reading, checking and writing structures, and the progress bar."""
