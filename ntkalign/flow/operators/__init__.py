"""Matrices that are too large to update: low rank, cached products, weights that move."""
