"""Potentials: many structures in one call where the model can, one by one where not."""
