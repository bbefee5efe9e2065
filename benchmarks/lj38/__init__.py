"""Clusters of 38 Lennard-Jones atoms, as in OptBench."""
