"""`mehler spectrum`: the eigenvalues of a network's kernel on the sphere, as a table, JSON and a picture."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mehler.arguments import Expression, Kernel, Params, parameters, picture_file

if TYPE_CHECKING:
    from mehler.numeric.spectrum.sphere import Spectrum


def spectrum(
    expr: Expression,
    dimension: Annotated[int, typer.Option(help="Dimension d of the rows, >= 2: the sphere is S^(d-1).")],
    degree: Annotated[int, typer.Option(help="Last degree k, >= 0.")] = 20,
    depth: Annotated[int, typer.Option(help="Hidden layers, >= 0.")] = 1,
    sigma_w: Annotated[float, typer.Option(help="Scale of the weights, > 0.")] = 1.0,
    sigma_b: Annotated[float, typer.Option(help="Scale of the biases, >= 0.")] = 0.0,
    kernel: Annotated[Kernel, typer.Option(help="ntk or nngp.")] = "ntk",
    digits: Annotated[
        int | None, typer.Option(help="Eigenvalues to within 10^-DIGITS of the trace, from the formulas.")
    ] = None,
    param: Params = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture of them to this .png file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Eigenvalues of the kernel on the sphere, beside the power law that is derived for them."""
    from mehler.api import network
    from mehler.numeric import inputs
    from mehler.numeric.spectrum.harmonics import checked
    from mehler.spectra import spectrum

    inputs.network(depth, sigma_w, sigma_b)
    checked(dimension, degree)
    with picture_file(plot, "spectrum.png") as temporary:
        net = network(expr, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b, **parameters(param))
        result = spectrum(net, dimension=dimension, degree=degree, kernel=kernel, digits=digits)
        if temporary is not None:
            _draw(result, temporary)
    if as_json:
        print(json.dumps({"activation": expr, "depth": depth} | result.as_json(), indent=2))
    else:
        _print(result)


def _draw(result: "Spectrum", path: Path) -> None:
    from matplotlib import pyplot

    from mehler.numeric.spectrum.displays import SpectrumDisplay

    figure = SpectrumDisplay.from_spectrum(result).figure_
    figure.savefig(path, format="png", dpi=120)
    pyplot.close(figure)


def _print(result: "Spectrum") -> None:
    from mehler.console import say, show, table

    say(f"{result.label}: {result.kernel} on the sphere in dimension {result.dimension}, x.x/d = 1")
    say(f"decay     {_law(result)}")
    say(f"trace     {_text(result.trace)}, beyond the last degree {result.tail:.3g}")
    say(f"error     {result.error:.1e}, absolute, the same for each eigenvalue\n")
    rows = table("k", "multiplicity", "eigenvalue", "of the trace", "predicted")
    rows.columns[-1].justify = "right"
    columns = zip(
        result.degrees, result.multiplicities, result.eigenvalues, result.shares, result.predicted(result.degrees),
        strict=True,
    )  # fmt: skip
    for k, count, value, share, line in columns:
        seen = abs(value) > result.error
        rows.add_row(
            str(k), str(count), _text(value) if seen else f"< {result.error:.1e}", f"{share:.3%}" if seen else "",
            "-" if math.isnan(line) else f"{line:.4e}",
        )  # fmt: skip
    show(rows)


def _law(result: "Spectrum") -> str:
    exponent, (even, odd) = result.decay_exponent, result.prefactor
    if math.isnan(exponent):
        return "not known for this activation"
    if math.isinf(exponent):
        return "faster than any power of k"
    if even == odd:
        return f"{even:.6g} * k^{exponent:g}"
    laws = (f"{p:.6g} * k^{exponent:g}" if p else f"faster than k^{exponent:g}, or 0" for p in (even, odd))
    return "{} for even k; {} for odd k".format(*laws)


def _text(value: Any) -> str:
    import mpmath

    return str(mpmath.nstr(value, 15)) if isinstance(value, mpmath.mpf) else f"{value:.10e}"
