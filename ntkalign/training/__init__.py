"""Training on minibatches: losses, optimisers, steps, epochs, checkpoints."""
