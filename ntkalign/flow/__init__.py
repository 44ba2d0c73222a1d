"""Continuous gradient flow, by two engines."""
