"""The preconditioner: a model Hessian of pair stiffnesses, the metric that rules may run in."""
