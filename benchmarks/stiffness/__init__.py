"""How near the model Hessian of molecules is to their Hessian, and which constants bring it nearest."""
