"""Structures from files and back."""
