"""What ``relax run``, ``janus geomopt``, ASE and torch-sim can do, each answer found by running them."""
