"""The minimum check against whole Hessians: whether it tells minima from saddle points, and its calls."""
