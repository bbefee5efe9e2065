"""ASE's own tests of optimizers, constraints, filters and bands, run with optimizers of relax."""
