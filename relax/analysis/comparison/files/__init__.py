"""Files of results, which are continued where a command was stopped."""
