"""The messages between the atoms of a MACE model, without arrays of all edges times all components.

For each edge a MACE model multiplies features h (channels c) of one atom, spherical harmonics Y (components
m) of the vector to the other and weights w of its length, and adds up the products of all edges of an atom:

    A[i, m, c] = sum over the edges e of atom i of  Y[e, m] h[j(e), c] w[e, c].

Written that way there are E x M x C products, which are stored and read several times in either direction,
and most of the time of a call goes there.  For the edges of one atom the sum is a product of the matrices
Y (n, M) and h w (n, C).  Atoms with about as many edges make a batch of such products.  Where features have
components of their own, Y is first combined with the coupling coefficients, a few numbers for each edge.

The weights depend on the length only, which both edges of a pair of atoms share, so that their network is
evaluated once for each pair.
"""
