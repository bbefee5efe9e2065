"""Many structures at once: their rows, their force calls, and the loop around them."""
