"""Large crystals of copper."""
