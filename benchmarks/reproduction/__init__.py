"""Claims of the papers of CoRe and Frankenstein about atoms, beside what is measured here.

``claims.json`` has what they print.  The figures here, and the verdicts, come from ``benchmarks/results``.
"""
