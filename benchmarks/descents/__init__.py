"""Energy and largest force at each force call of a few runs."""
