"""Relaxations with forces that are disturbed: by noise, and so that they are no gradient of an energy."""
