"""Paths of optimizers on the energy: Lennard-Jones clusters, and the grain boundary of an alloy."""
