"""What the benchmarks share: names of optimizers, counted runs, files of results, tables."""
