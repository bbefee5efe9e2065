"""The minimum check against whole Hessians: does it tell minima from saddle points, and at what cost?"""
