"""One figure over all sets of molecules and materials: the calls of each optimizer beside the fewest."""
