"""Arrays of rows, the base class of rules, settings, results and exceptions."""
