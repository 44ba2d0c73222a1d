"""Training data: P points."""
