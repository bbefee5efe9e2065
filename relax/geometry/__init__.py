"""Cells, symmetry, neighbours, constraints, random displacements and sanity checks."""
