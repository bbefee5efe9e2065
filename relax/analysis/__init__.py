"""Comparisons of minimizers, and pictures of their runs."""
