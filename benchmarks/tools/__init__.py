"""Scripts that make models, examples and defaults."""
