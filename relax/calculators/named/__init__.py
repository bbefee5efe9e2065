"""What loads calculators by name, a file for each family; see :mod:`relax.calculators.registry`."""
