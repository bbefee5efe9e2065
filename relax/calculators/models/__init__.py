"""The models: batched ones, and any ASE calculator, one structure after the other."""
