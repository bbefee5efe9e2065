"""What the benchmarks share beside :mod:`relax.comparison`: provenance, curvatures, the terminal."""
