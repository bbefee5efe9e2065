"""The page for choosing a rule, docs/choosing.md: tables and advice from the files of results alone."""
