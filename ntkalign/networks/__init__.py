"""Networks: activations, layers, families of growing width, randomness."""
