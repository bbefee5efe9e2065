"""Benchmarks of optimizers: a package for each, and in ``common`` what they share."""
