"""The errors of the derivation: one type a stage, each naming the fault and the remedy in one line."""


class DeriveError(ValueError):
    """Any failure to derive; its text is one line that names the fault and the remedy."""


class ParseError(DeriveError):
    """The text is not an activation: unparsable, unsafe, too large, or not a function of x alone."""


class OutsideClass(DeriveError):
    """A part of the activation is outside the Gaussian-closed class, so no closed form is derived."""


class DivergentExpectation(DeriveError):
    """The activation grows too fast for its expectation over a Gaussian to exist."""


class ProofError(DeriveError):
    """A derived formula failed a check. This is a fault of the engine, never a result."""


class Unproved(DeriveError):
    """No check of a derived formula failed, but one found no value to compare the formula with."""


class DerivationTimeout(DeriveError):
    """The derivation took longer than its time limit."""


class ComposeError(DeriveError):
    """A network that does not exist: a negative depth, a scale that is not finite."""


class EmitError(DeriveError):
    """A formula or a name that cannot be turned into code for the target."""


class NoCode(EmitError):
    """A closed form for which a target has no code."""
