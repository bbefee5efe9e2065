"""One HTML file, or one picture, of a relaxation or of many."""
