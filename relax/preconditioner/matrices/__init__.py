"""The matrices of model Hessians: dense ones, sparse ones and their factorisations."""
