"""Materials of many kinds: surfaces, frameworks, molecular crystals, layers, defects, random packings."""
