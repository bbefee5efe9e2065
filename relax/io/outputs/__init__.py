"""The files that a run writes: structures, trajectories, logs."""
