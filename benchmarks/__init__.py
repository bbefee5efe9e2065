"""Benchmarks: each is a module to run, and writes what it finds under ``benchmarks/results``."""
