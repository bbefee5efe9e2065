"""Relaxations with forces that are disturbed: by noise, and by a field that is no gradient of an energy."""
