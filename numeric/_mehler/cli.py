"""The command line. A fault is one line on stderr and exit code 2; `check` over budget is exit code 1."""

import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

# typer exports its errors one by one; this is the one they share.
UsageProblem: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Derive, prove, generate and measure the kernels of infinitely wide neural networks.",
)

Kernel = Literal["ntk", "nngp"]
Expression = Annotated[str, typer.Argument(help="A name (see 'mehler list') or a function of x: \"x*Phi(x)\".")]
Params = Annotated[
    list[str] | None, typer.Option("--param", help="A parameter: a=0.1, a=1/10, or a=positive. Repeatable.")
]
JumpsOption = Annotated[
    str, typer.Option(help="Derivative of a discontinuous activation: almost-everywhere or distribution.")
]


def main() -> None:
    """Run the command line: every expected failure is one line on stderr and exit code 2."""
    try:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary files are removed
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        if code == 130:  # typer's answer to an interrupt
            raise KeyboardInterrupt
    except (typer.Abort, KeyboardInterrupt):
        _fail("interrupted; nothing was left half-written", 130)
    except UsageProblem as error:
        _fail(f"{error.format_message()} (see 'mehler --help')")
    except ValueError as error:
        from mehler.derive.errors import DeriveError
        from mehler.numeric.errors import NumericError

        if not isinstance(error, DeriveError | NumericError):
            raise
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror}")
    except RecursionError:
        _fail("the activation is too deeply nested to be derived; simplify it")
    sys.exit(code or 0)


def _fail(message: str, code: int = 2) -> None:
    print(f"mehler: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(code)


@app.command()
def derive(
    expr: Expression,
    param: Params = None,
    at: Annotated[
        list[str] | None, typer.Option(help="Values at a point, e.g. q1=1,q2=1,c=1/2. Repeatable.")
    ] = None,
    digits: Annotated[int, typer.Option(help="Digits of the values, 1 to 200.")] = 25,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print K and K' as LaTeX.")] = False,
    jumps: JumpsOption = "almost-everywhere",
) -> None:
    """Derive and prove K = E[phi(u) phi(v)] and K' = E[phi'(u) phi'(v)]."""
    from mehler.derive.errors import DeriveError

    if not 1 <= digits <= 200:
        raise DeriveError(f"--digits {digits} is out of range; use 1 to 200")
    params, points = _params(param), [_point(text) for text in at or []]
    started = time.perf_counter()
    from mehler.derive.pipeline import derive_dual

    result = derive_dual(expr, jumps=jumps, **params)  # type: ignore[arg-type]
    values = [_value(result, point, digits) for point in points]
    seconds = time.perf_counter() - started
    if as_json:
        print(json.dumps(_as_json(expr, result, values, seconds), indent=2))
    elif latex:
        print(result.latex())
    else:
        _show(result, values, seconds)


@app.command()
def generate(
    expr: Annotated[str | None, typer.Argument(help="A name or a function of x.")] = None,
    name: Annotated[str, typer.Option(help="Name of the module and its file.")] = "",
    out: Annotated[Path, typer.Option(help="Folder to write NAME.py in.")] = Path(),
    target: Annotated[str, typer.Option(help="Target of the code.")] = "numpy",
    param: Params = None,
    jumps: JumpsOption = "almost-everywhere",
    every: Annotated[
        bool,
        typer.Option("--all", help="Write the modules of all named activations that NumPy alone can run."),
    ] = False,
) -> None:
    """Write a standalone evaluator module."""
    from mehler.console import out as console
    from mehler.console import whole_file
    from mehler.derive.emit.library import library
    from mehler.derive.emit.module import check_name
    from mehler.derive.errors import EmitError
    from mehler.derive.pipeline import generate as source_of

    if every:
        if expr is not None or name:
            raise EmitError("--all takes no expression and no --name; leave them out")
        sources = library()
    else:
        if expr is None or not name:
            raise EmitError("name what to generate: mehler generate EXPR --name NAME, or mehler generate --all")
        check_name(name)
        sources = {name: source_of(expr, name=name, target=target, jumps=jumps, **_params(param))}  # type: ignore[arg-type]
    out.mkdir(parents=True, exist_ok=True)
    for module, source in sources.items():
        path = out / f"{module}.py"
        with whole_file(path) as temporary:
            temporary.write_text(source, encoding="utf-8")
        console.print(str(path), markup=False)


@app.command()
def check(
    evaluator: Annotated[str, typer.Argument(help="A name, an expression, or the file of a generated module.")],
    param: Params = None,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    points: Annotated[int, typer.Option(help="Points in each region.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the points.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure an evaluator against mpmath; exit code 1 when an error is over its budget."""
    from mehler.certify import certify, show

    certificate = certify(evaluator, _params(param), dtype=dtype, points=points, seed=seed)
    if as_json:
        print(json.dumps(certificate.as_json(), indent=2))
    else:
        show(certificate)
    raise typer.Exit(0 if certificate.passed else 1)


@app.command()
def gram(
    expr: Expression,
    data: Annotated[Path, typer.Argument(help="A .npy file of shape (n, d), float32 or float64.")],
    out: Annotated[Path, typer.Option(help="The .npy file to write.")],
    other: Annotated[Path | None, typer.Option("--other", help="Rows of the columns, a second .npy file.")] = None,
    depth: Annotated[int, typer.Option(help="Hidden layers, >= 0.")] = 1,
    sigma_w: Annotated[float, typer.Option(help="Scale of the weights, > 0.")] = 1.0,
    sigma_b: Annotated[float, typer.Option(help="Scale of the biases, >= 0.")] = 0.0,
    kernel: Annotated[Kernel, typer.Option(help="ntk or nngp.")] = "ntk",
    param: Params = None,
) -> None:
    """Write the Gram matrix of the rows of DATA.npy."""
    import numpy as np

    from mehler.api import network
    from mehler.console import out as console
    from mehler.console import progress_bar, whole_file
    from mehler.numeric import inputs

    inputs.network(depth, sigma_w, sigma_b)
    X = _read_array(data)
    Y = None if other is None else _read_array(other)
    inputs.pair_of_rows(X, Y, sigma_b)
    net = network(expr, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b, **_params(param))
    with whole_file(out) as temporary:
        shape = (len(X), len(X if Y is None else Y))
        result = np.lib.format.open_memmap(temporary, mode="w+", dtype=X.dtype, shape=shape)
        with progress_bar() as bar:
            task = bar.add_task(f"{kernel} of {shape[0]} x {shape[1]} pairs", total=None)
            net.gram(
                kernel, X, Y, out=result,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip
        result.flush()
        del result
    console.print(f"{out}  {shape[0]} x {shape[1]} {X.dtype}", markup=False)


@app.command(name="list")
def list_names() -> None:
    """List the named activations and the functions that an expression may use."""
    from rich.table import Table

    from mehler.console import out
    from mehler.derive.activation import DEFAULTS, NAMED
    from mehler.derive.parser import CONSTANTS, FUNCTIONS

    table = Table("name", "expression", "defaults", "committed module", box=None, pad_edge=False)
    for name, text in NAMED.items():
        defaults = ", ".join(f"{p}={v}" for p, v in DEFAULTS.get(name, {}).items())
        table.add_row(name, text, defaults, f"mehler.generated.{name}" if _has_module(name) else "")
    out.print(table)
    out.print(f"\nfunctions: {', '.join(sorted(FUNCTIONS))}, Piecewise", markup=False)
    out.print(
        f"constants: {', '.join(CONSTANTS)}; operators: + - * / ** ^, comparisons, and, or, not", markup=False
    )


@app.command()
def verify(
    out: Annotated[Path | None, typer.Option(help="Write the report as Markdown to this file.")] = None,
) -> None:
    """Prove that derived kernels equal the published closed forms, symbolically."""
    from mehler.console import whole_file, writable
    from mehler.derive.published import report, verify_all

    if out is not None:
        writable(out)
    results = verify_all()
    text = report(results)
    if out is None:
        print(text, end="")
    else:
        with whole_file(out) as temporary:
            temporary.write_text(text, encoding="utf-8")
    raise typer.Exit(0 if all(result.passed for result in results) else 1)


@app.command()
def demo(
    activation: Annotated[str, typer.Option(help="A name or a function of x.")] = "relu",
    param: Params = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the results to this file.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("mehler-demo"),
) -> None:
    """The main job on real data: derive, prove, generate, check, and classify scikit-learn's digits."""
    from mehler.console import whole_file, writable
    from mehler.demo import run

    if json_file is not None:
        writable(json_file)
    results = run(activation, _params(param), out)
    if json_file is not None:
        with whole_file(json_file) as temporary:
            temporary.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _params(param: list[str] | None) -> dict[str, Any]:
    from mehler.derive.errors import ParseError

    params: dict[str, Any] = {}
    for text in param or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier() or not value.strip() or name.strip() in params:
            raise ParseError(f"--param {text!r} is not NAME=VALUE, once for each name; write e.g. --param a=0.1")
        params[name.strip()] = value.strip()
    if reserved := {"expr", "jumps", "name", "target", "activation", "depth", "sigma_w", "sigma_b"} & set(params):
        raise ParseError(f"{min(reserved)!r} cannot name a parameter; choose another, e.g. 'alpha'")
    return params


def _point(text: str) -> dict[str, str]:
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


def _value(result: Any, point: dict[str, str], digits: int) -> dict[str, str]:
    import mpmath

    kernel, kernel_dot = result.evaluate(point["q1"], point["q2"], point["c"], digits=digits)
    texts = {
        n: mpmath.nstr(v, digits, strip_zeros=False) for n, v in (("kernel", kernel), ("kernel_dot", kernel_dot))
    }
    return point | texts


def _as_json(expr: str, result: Any, values: list[dict[str, str]], seconds: float) -> dict[str, Any]:
    checks = [{"name": c.name, "kind": c.kind, "passed": c.passed, "detail": c.detail} for c in result.proof.checks]
    text = {n: None if getattr(result, n) is None else str(getattr(result, n)) for n in ("kernel", "kernel_dot")}
    return {
        "activation": expr,
        "expression": str(result.activation.expr),
        "status": result.status,
        **text,
        "kernel_diag": None if result.kernel_diag is None else str(result.kernel_diag),
        "kernel_dot_diag": None if result.kernel_dot_diag is None else str(result.kernel_dot_diag),
        "jumps": result.jumps,
        "reason": getattr(result, "reason", None),
        "proof": {"passed": result.proof.passed, "checks": checks},
        "values": values,
        "seconds": round(seconds, 3),
    }


def _show(result: Any, values: list[dict[str, str]], seconds: float) -> None:
    print(result)
    if result.proof.checks:
        print(f"\nproof\n{result.proof}")
    if result.status == "closed-form" and result.dual.impulses != 0:
        print(
            f"\nphi jumps; K' here is taken in the sense '{result.jumps}'. The jumps add to dK/dc:\n"
            f"    {result.dual.impulses_shown}\nwhich is infinite at c = sqrt(q1*q2), and the NTK diagonal with it."
        )
    for value in values:
        print(f"\nq1={value['q1']}, q2={value['q2']}, c={value['c']}")
        print(f"    K  = {value['kernel']}\n    K' = {value['kernel_dot']}")
    print(f"\nstatus {result.status}, {seconds:.2f} s")


def _read_array(path: Path) -> Any:
    import numpy as np

    from mehler.numeric.errors import NumericError

    if path.exists() and not path.is_file():
        raise NumericError(f"{path} is not an ordinary file; give a .npy file")
    try:
        # Not numpy.load, which also opens zip files and pickles.
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise NumericError(f"{path} does not exist; give a .npy file") from None
    except (ValueError, EOFError, OSError):
        raise NumericError(f"{path} is not a .npy file of numbers; write one with numpy.save") from None


def _has_module(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(f"mehler.generated.{name}") is not None
