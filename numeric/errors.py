"""The error of the numerics."""


class NumericError(ValueError):
    """A number that cannot be computed as asked; its text is one line that names the fault."""
