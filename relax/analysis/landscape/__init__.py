"""The energy on a plane through paths of structures, and its picture."""
