"""Checks of the command ``ase run``, and of ASE in Python where the command lacks a feature."""
