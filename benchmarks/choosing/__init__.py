"""The page docs/how-to/choosing.md: tables and advice from the files of results alone."""
