"""Size of the pages of ``relax report``, and the time to write and to open them."""
