"""Where the networks of a run are computed: in this process, in others, or on a cluster."""
