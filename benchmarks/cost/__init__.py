"""Time of an optimizer outside the calculator."""
