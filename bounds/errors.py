"""The errors a user can cause. Everything else that is raised is a bug of ours."""


class InputError(ValueError):
    """Input that cannot be used. The message names the thing and what would fix it."""


class ParseError(InputError):
    """A formula that cannot be read; the message points at the token.

    >>> print(ParseError("I takes two groups", "H(X) + I(Y)", 7))
    I takes two groups
      H(X) + I(Y)
             ^
    """

    def __init__(self, problem: str, text: str, position: int) -> None:
        super().__init__(f"{problem}\n  {text}\n  {' ' * position}^")
        self.position = position


class NoEstimateError(InputError):
    """Data whose entropies no estimator supports; one-sided bounds need none (:func:`bounds.conditional_bounds`)."""


class ObjectiveError(InputError):
    """A bound asked for an objective for which it does not hold; the message says which one does."""
