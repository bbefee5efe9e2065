"""Optimizers of ASE that are followed like a rule: ``ase:BFGS``."""
