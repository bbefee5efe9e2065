"""What the benchmarks share beside :mod:`relax.analysis.comparison`: provenance, curvatures, the terminal."""
