"""Checks of torch-sim's ``optimize`` with its autobatcher."""
