"""Sweeps over widths and seeds, and what becomes of them."""
