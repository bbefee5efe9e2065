"""The commands that show runs: pages and pictures."""
