"""Inside a network: what its units do, which of them matter, and the ways from the inputs to an output."""

VALUES_AT_ONCE = 4_000_000  # numbers that one vectorised pass holds at once (16 MB as float32)
