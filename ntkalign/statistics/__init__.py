"""Exponents from measurements, with honest intervals. No JAX."""
