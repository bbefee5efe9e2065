"""Few calls of an expensive calculator, with a cheap one beside it."""
