"""What a file says about its structures, without more reading than that needs."""
