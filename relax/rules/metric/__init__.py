"""L-BFGS on a model Hessian."""
