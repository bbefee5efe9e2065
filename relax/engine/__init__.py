"""The engine that relaxes structures, one or many."""
