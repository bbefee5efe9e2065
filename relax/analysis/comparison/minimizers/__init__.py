"""Minimizers by name: those of relax, of ASE and of other packages."""
