"""Commands that relax nothing, and list what there is."""
