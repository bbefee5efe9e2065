"""Kriging: the next place is the minimum of a prior and a Gaussian process on what that misses."""
