"""The paper's experiments: what is trained, the plan of a command, its runs and its tables."""
