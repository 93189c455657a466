"""Pictures of training and of predictions, in the manner of scikit-learn's displays (matplotlib, extra `plot`).

A class method takes what is drawn and an `ax`, draws, and returns the display with ax_ and figure_.
"""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from mehler.numeric.axes import axes
from mehler.numeric.errors import NumericError
from mehler.numeric.inference.checks import Array, finite, times
from mehler.numeric.inference.flow import GradientFlow


@dataclass
class LossDisplay:
    """½ Σ (f_t − y)² on the training set, and on a validation set where there is one, against time."""

    t: Array
    train: Array
    validation: Array | None = None
    ax_: Any = field(default=None, init=False)
    figure_: Any = field(default=None, init=False)

    @classmethod
    def from_flow(
        cls, flow: GradientFlow, *, K_val: Any = None, y_val: Any = None, t: Any = None, ax: Any = None
    ) -> Self:
        """From f₀ = 0, at times t (k,), by default over all modes; a validation set is K_val (m, n), y_val (m,)."""
        moments = _moments(flow, t)
        validation = None
        if K_val is not None:
            _, test = flow.predict(moments, K_test=K_val)
            error = np.asarray(test) - finite(y_val, "y_val")
            validation = 0.5 * (error**2).reshape(len(moments), -1).sum(axis=1)
        return cls(moments, flow.loss(moments), validation).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw on logarithmic axes, with a line at the least validation loss."""
        self.ax_ = axes(ax)
        self.figure_ = self.ax_.figure
        self.ax_.loglog(self.t, self.train, label="training")
        if self.validation is not None:
            self.ax_.loglog(self.t, self.validation, label="validation")
            best = int(np.argmin(self.validation))
            self.ax_.axvline(self.t[best], color="C1", ls=":", lw=1, label="least validation loss")
            self.ax_.legend(frameon=False)
        self.ax_.set(xlabel="time $t$", ylabel=r"loss $\frac{1}{2}\sum(f_t - y)^2$")
        return self


@dataclass
class LearningDisplay:
    """The share e^{−(λ + α)t} of each mode that is still to be learned, against time."""

    t: Array
    rates: Array
    shares: Array
    ax_: Any = field(default=None, init=False)
    figure_: Any = field(default=None, init=False)

    @classmethod
    def from_flow(cls, flow: GradientFlow, *, count: int = 8, t: Any = None, ax: Any = None) -> Self:
        """`count` modes of a flow, from the fastest to the slowest that is learned, evenly by rank."""
        learned = flow.rates[flow.rates > 0]
        if not len(learned):
            raise NumericError("the kernel is 0 and learns nothing; give another, or a ridge")
        ranks = np.unique(np.geomspace(1, len(learned), count).round().astype(int)) - 1
        moments = _moments(flow, t)
        with np.errstate(under="ignore"):
            return cls(moments, learned[ranks], np.exp(-np.outer(learned[ranks], moments))).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw on a logarithmic axis of time."""
        self.ax_ = axes(ax)
        self.figure_ = self.ax_.figure
        for rate, share in zip(self.rates, self.shares, strict=True):
            self.ax_.semilogx(self.t, share, label=rf"$\lambda$ = {rate:.2g}")
        self.ax_.set(xlabel="time $t$", ylabel="share left to learn")
        self.ax_.legend(frameon=False, fontsize="small")
        return self


@dataclass
class PosteriorDisplay:
    """A mean with bands of one and two standard deviations over inputs on a line."""

    x: Array
    mean: Array
    deviation: Array
    data: tuple[Array, Array] | None = None
    ax_: Any = field(default=None, init=False)
    figure_: Any = field(default=None, init=False)

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any = None, *, rows: Any = None, ax: Any = None) -> Self:
        """Of a fitted estimator with predict(rows, return_std=True), at `rows` (m, 1), with data X (n, 1), y (n,).

        Without rows: 200 of them, a little beyond X.
        """
        X = finite(X, "X")
        if X.ndim != 2 or X.shape[1] != 1:
            raise NumericError(f"X has shape {X.shape}; a band is drawn over one column, of shape (n, 1)")
        reach = 0.15 * float(np.ptp(X))
        line = np.linspace(X.min() - reach, X.max() + reach, 200)[:, None] if rows is None else finite(rows, "rows")
        mean, deviation = estimator.predict(line, return_std=True)
        data = None if y is None else (X[:, 0], finite(y, "y"))
        return cls(line[:, 0], mean, deviation, data).plot(ax=ax)

    @classmethod
    def from_moments(
        cls, x: Any, mean: Any, covariance: Any, X: Any = None, y: Any = None, *, ax: Any = None
    ) -> Self:
        """Of what mehler.ensemble returns for the inputs x (m,), with the data X (n,), y (n,)."""
        variance = np.diag(finite(covariance, "the covariance"))
        data = None if X is None else (finite(X, "X"), finite(y, "y"))
        deviation = np.sqrt(np.maximum(variance, 0))
        return cls(finite(x, "x"), finite(mean, "the mean"), deviation, data).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw the mean, the bands, and the data as points."""
        self.ax_ = axes(ax)
        self.figure_ = self.ax_.figure
        for width, alpha in ((2, 0.15), (1, 0.25)):
            low, high = self.mean - width * self.deviation, self.mean + width * self.deviation
            self.ax_.fill_between(self.x, low, high, color="C0", alpha=alpha, lw=0)
        self.ax_.plot(self.x, self.mean, color="C0")
        if self.data is not None:
            self.ax_.plot(*self.data, "o", color="k", ms=3)
        self.ax_.set(xlabel="$x$", ylabel="$f(x)$")
        return self


def _moments(flow: GradientFlow, t: Any) -> Array:
    if t is not None:
        return np.ravel(times(t))
    learned = flow.rates[flow.rates > 0]
    fastest, slowest = (learned[0], learned[-1]) if len(learned) else (1.0, 1.0)
    return np.geomspace(1e-2 / fastest, 10 / slowest, 300)
