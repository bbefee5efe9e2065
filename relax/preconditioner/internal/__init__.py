"""Internal coordinates: which a structure has, how stiff they are, and curved steps in them."""
