"""Polycrystals of a high-entropy alloy, with LAMMPS and its minimizers."""
