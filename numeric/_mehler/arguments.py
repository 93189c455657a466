"""What a user types after a command: the options that commands share, and what their texts mean."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Kernel = Literal["ntk", "nngp"]
Target = Literal["auto", "numpy", "numba"]
Expression = Annotated[str, typer.Argument(help="A name (see 'mehler list') or a function of x: \"x*Phi(x)\".")]
Params = Annotated[
    list[str] | None, typer.Option("--param", help="A parameter: a=0.1, a=1/10, or a=positive. Repeatable.")
]
JumpsOption = Annotated[
    str, typer.Option(help="Derivative of a discontinuous activation: almost-everywhere or distribution.")
]
TimeoutOption = Annotated[float, typer.Option(help="Seconds that a formula may take, > 0; after that, quadrature.")]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", help="Threads of Gram matrices; every core unless given.")
]
TIMEOUT = 120.0  # that of mehler.derive.pipeline, which takes long to import

# Keywords of the functions that take parameters of φ as keywords too.
KEYWORDS = frozenset(
    ("expr", "jumps", "name", "target", "timeout", "activation", "depth", "sigma_w", "sigma_b", "progress", "span")
)


def parameters(param: list[str] | None) -> dict[str, Any]:
    from mehler.derive.errors import ParseError

    params: dict[str, Any] = {}
    for text in param or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier() or not value.strip() or name.strip() in params:
            raise ParseError(f"--param {text!r} is not NAME=VALUE, once for each name; write e.g. --param a=0.1")
        params[name.strip()] = value.strip()
    return {f"{name}_" if name in KEYWORDS else name: value for name, value in params.items()}


def point_of(text: str) -> dict[str, str]:
    from mehler.derive.errors import DeriveError

    point = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or name.strip() in point:
            raise DeriveError(f"--at {text!r} is not a point; write e.g. --at q1=1,q2=1,c=1/2")
        point[name.strip()] = value.strip()
    if set(point) != {"q1", "q2", "c"}:
        raise DeriveError(f"--at {text!r} must give q1, q2 and c; write e.g. --at q1=1,q2=1,c=1/2")
    return point


@contextmanager
def picture_file(path: Path | None, example: str) -> Iterator[Path | None]:
    """A temporary file that becomes the .png file of --plot, or None without a path.

    Raises NumericError where the path can take no picture, or matplotlib is not there.
    """
    from mehler.files import whole_file
    from mehler.numeric.errors import NumericError

    if path is None:
        yield None
        return
    if path.suffix != ".png":
        raise NumericError(f"--plot {path} is not a .png file; name one, e.g. --plot {example}")
    try:
        import matplotlib
    except ImportError:
        raise NumericError("--plot needs matplotlib; install it with: pip install 'mehler[plot]'") from None
    matplotlib.use("Agg")
    with whole_file(path) as temporary:
        yield temporary


@contextmanager
def picture(path: Path | None) -> Iterator[Callable[[Sequence[Any], str], None] | None]:
    """The function that draws errors to a .png file, or None without a path. Raises NumericError."""
    with picture_file(path, "ulp.png") as temporary:
        if temporary is None:
            yield None
            return
        from mehler.pictures import error_curves

        yield lambda curves, title: error_curves(curves, title, temporary)


def read_array(path: Path) -> Any:
    """The array of a .npy file, as a memory map. Raises NumericError where there is none."""
    import numpy as np

    from mehler.numeric.errors import NumericError

    if path.exists() and not path.is_file():
        raise NumericError(f"{path} is not an ordinary file; give a .npy file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a header that Python 2 or nobody wrote
            # Not numpy.load, which also opens zip files and pickles.
            return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise NumericError(f"{path} does not exist; give a .npy file") from None
    except OSError as error:
        raise NumericError(f"cannot read {path}: {error.strerror}") from None
    except Exception:  # a damaged header ends in whatever Python's tokenizer or NumPy's types raise
        raise NumericError(f"{path} is not a .npy file of numbers; write one with numpy.save") from None
