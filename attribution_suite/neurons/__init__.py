"""Inside a network: what its units do, which of them matter, and the ways from the inputs to an output."""
