"""Whether a part of somebody else's is what the package takes its own parts to be."""
