"""
X
=

Text.
"""
print(1)
