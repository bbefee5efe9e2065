"""Commands that draw what runs have written."""
