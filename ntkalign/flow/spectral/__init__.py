"""The spectral engine: gradient flow in function space, at large width."""
