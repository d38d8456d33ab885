"""A run that others can check: certificates, their signatures, and the run derived again from what it is made of."""
