"""The command line. A fault is one line on stderr and exit code 2; `check` over budget is exit code 1."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from mehler.arguments import (
    TIMEOUT,
    Expression,
    JumpsOption,
    Kernel,
    Params,
    Target,
    ThreadsOption,
    TimeoutOption,
    parameters,
    picture,
    point_of,
    read_array,
)
from mehler.faults import one_line_failures
from mehler.fitting import fit
from mehler.showing import json_of, print_derivation, reports_at, sphere_of, value_at
from mehler.spectrum_command import spectrum

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Derive, prove, generate and measure the kernels of infinitely wide neural networks.",
)

app.command()(fit)
app.command()(spectrum)


def main() -> None:
    """Run the command line."""
    with one_line_failures():
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        if code == 130:  # typer's answer to an interrupt
            raise KeyboardInterrupt
    sys.exit(code or 0)


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
    sphere: Annotated[
        int | None,
        typer.Option(help="Also K and K' at q1 = q2 = 1 as functions of rho, and this many series coefficients."),
    ] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="Write the derivation to this .md, .tex or .html file. Repeatable.")
    ] = None,
    jumps: JumpsOption = "almost-everywhere",
    timeout: TimeoutOption = TIMEOUT,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Derive anew, and keep nothing (see 'mehler cache').")
    ] = False,
) -> None:
    """Derive and prove K = E[phi(u) phi(v)] and K' = E[phi'(u) phi'(v)]."""
    from mehler.derive.errors import DeriveError

    if not 1 <= digits <= 200:
        raise DeriveError(f"--digits {digits} is out of range; use 1 to 200")
    if sphere is not None and not 0 <= sphere <= 100:
        raise DeriveError(f"--sphere {sphere} is out of range; use 0 to 100")
    params, points = parameters(param), [point_of(text) for text in at or []]
    started = time.perf_counter()
    from mehler.derive.pipeline import derivation

    with reports_at(report or []) as write:
        result, cached = derivation(expr, params, jumps=jumps, timeout=timeout, cached=not no_cache)  # type: ignore[arg-type]
        values = [value_at(result, point, digits) for point in points]
        on_sphere = None if sphere is None else sphere_of(result, sphere)
        write(result)
    seconds = time.perf_counter() - started
    if as_json:
        extra = {} if on_sphere is None else {"sphere": {k: v for k, v in on_sphere.items() if k != "latex"}}
        print(json.dumps(json_of(expr, result, values, seconds, cached) | extra, indent=2))
    elif latex:
        print(result.latex())
        if on_sphere is not None:
            print(on_sphere["latex"])
    else:
        print_derivation(result, values, on_sphere, seconds, cached)


@app.command()
def generate(
    expr: Annotated[str | None, typer.Argument(help="A name or a function of x.")] = None,
    name: Annotated[str, typer.Option(help="Name of the module and its file.")] = "",
    out: Annotated[Path, typer.Option(help="Folder to write NAME.py in.")] = Path(),
    target: Annotated[str, typer.Option(help="Target of the code: numpy, numba or cupy.")] = "numpy",
    param: Params = None,
    jumps: JumpsOption = "almost-everywhere",
    timeout: TimeoutOption = TIMEOUT,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Write the modules of all named activations that NumPy alone can run, for every target."
        ),
    ] = False,
    tables: Annotated[
        bool, typer.Option("--tables", help="Write the modules of named activations without a closed form.")
    ] = False,
) -> None:
    """Write a standalone evaluator module."""
    from mehler.console import progress_bar, say
    from mehler.derive.emit.header import check_name, provenance
    from mehler.derive.emit.library import library, tabled
    from mehler.derive.errors import EmitError
    from mehler.derive.pipeline import generate as generated
    from mehler.files import folder, text_file

    def save(module: str, source_of: Callable[[], str]) -> None:
        path = out / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        with text_file(path) as write:
            write(source_of())
        say(str(path))

    if (every or tables) and (expr is not None or name):
        raise EmitError("--all and --tables take no expression and no --name; leave them out")
    if not every and not tables:
        if expr is None or not name:
            raise EmitError("name what to generate: mehler generate EXPR --name NAME, or mehler generate --all")
        check_name(name)
    given = parameters(param)
    with folder(out), progress_bar() as bar:
        task = bar.add_task("tables", total=None, visible=False)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=done < total)

        if every:
            for module, source in library().items():
                save(module, partial(str, source))
        if tables:
            for module, source in tabled(report):
                save(module, partial(str, source))
        if expr is not None:
            choice: dict[str, Any] = {"target": target, "jumps": jumps, "timeout": timeout, "progress": report}
            made: list[str] = []

            def source_of() -> str:
                made.append(generated(expr, name=name, **choice, **given))
                return made[0]

            save(name, source_of)
            say(provenance(made[0]))


@app.command()
def check(
    evaluator: Annotated[str, typer.Argument(help="A name, an expression, or the file of a generated module.")],
    param: Params = None,
    dtype: Annotated[str, typer.Option(help="float64 or float32.")] = "float64",
    points: Annotated[int, typer.Option(help="Points in each region.")] = 12,
    seed: Annotated[int, typer.Option(help="Seed of the points.")] = 0,
    target: Annotated[str, typer.Option(help="Target of the evaluator: numpy or numba.")] = "numpy",
    search: Annotated[
        bool, typer.Option("--search", help="Also climb from the worst points to worse ones.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Write a picture of the errors against the angle to this .png file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure an evaluator against mpmath; exit code 1 when an error is over its budget."""
    from mehler.certify import certify, curves, show, subject
    from mehler.console import progress_bar

    with picture(plot) as draw:
        what = subject(evaluator, parameters(param), dtype=dtype, target=target)
        with progress_bar() as bar:
            certificate = certify(
                what, points=points, seed=seed, deep=search,
                track=lambda items, stage: bar.track(items, description=stage),
            )  # fmt: skip
        if draw is not None:
            draw(curves(what), f"{certificate.name}, {dtype}")
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
    threads: ThreadsOption = None,
    target: Annotated[Target, typer.Option(help="What evaluates: numba, numpy, or the first installed.")] = "auto",
    param: Params = None,
) -> None:
    """Write the Gram matrix of the rows of DATA.npy, which may be larger than memory."""
    import numpy as np

    from mehler.api import network
    from mehler.console import progress_bar, say
    from mehler.files import whole_file
    from mehler.numeric import inputs, workers

    inputs.network(depth, sigma_w, sigma_b)
    workers.count(threads)
    X = read_array(data)
    Y = None if other is None else read_array(other)
    inputs.pair_of_rows(X, Y, sigma_b)
    params = parameters(param)
    with whole_file(out) as temporary:
        net = network(expr, depth=depth, sigma_w=sigma_w, sigma_b=sigma_b, target=target, **params)
        shape = (len(X), len(X if Y is None else Y))
        result = np.lib.format.open_memmap(temporary, mode="w+", dtype=X.dtype, shape=shape)
        with progress_bar() as bar:
            task = bar.add_task(f"{kernel} of {shape[0]} x {shape[1]} pairs", total=None)
            net.gram(
                kernel, X, Y, out=result, threads=threads,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )  # fmt: skip
        del result
    say(f"{out}  {shape[0]} x {shape[1]} {X.dtype}")


@app.command(name="mean-field")
def mean_field(
    expr: Expression,
    param: Params = None,
    sigma_w: Annotated[str | None, typer.Option(help="Scale of the weights, > 0: 1.5, 3/2 or sqrt(2).")] = None,
    sigma_b: Annotated[str | None, typer.Option(help="Scale of the biases, >= 0; 0 unless given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Variance map, phases and depth scales; the fixed points at --sigma-w; the edge of chaos."""
    from mehler.derive.errors import DeriveError
    from mehler.derive.meanfield import mean_field as theory
    from mehler.derive.meanfield import show_edge

    result = theory(expr, sigma_w=sigma_w, sigma_b=sigma_b, **parameters(param))
    edge, reason = [], None
    try:
        edge = [result.edge_at(q) for q in ("0.1", "1", "10")]
    except DeriveError as error:  # φ jumps, or a parameter has no value: the formulas stand
        reason = str(error)
    if as_json:
        points = [{"q": e.q, "sigma_w2": e.sigma_w2, "sigma_b2": e.sigma_b2, "exists": e.exists} for e in edge]
        print(
            json.dumps({"activation": expr, **result.as_json(), "edge_points": points, "reason": reason}, indent=2)
        )
    else:
        print(f"{result}\n\n{show_edge(edge) if edge else f'no table of the edge of chaos: {reason}'}")


@app.command(name="list")
def list_names() -> None:
    """List the named activations and the functions that an expression may use."""
    from mehler.console import say, show, table
    from mehler.derive.activation import DEFAULTS, NAMED
    from mehler.derive.functions import CONSTANTS, FUNCTIONS

    names = table("name", "expression", "defaults", "committed module")
    for name, text in NAMED.items():
        defaults = ", ".join(f"{p}={v}" for p, v in DEFAULTS.get(name, {}).items())
        names.add_row(name, text, defaults, f"mehler.generated.{name}" if _has_module(name) else "")
    show(names)
    say(f"\nfunctions: {', '.join(sorted(FUNCTIONS))}, Piecewise")
    say(f"constants: {', '.join(CONSTANTS)}; operators: + - * / ** ^, comparisons, and, or, not")


@app.command(name="cache")
def derivations(
    clear: Annotated[bool, typer.Option("--clear", help="Remove the files of the cache.")] = False,
) -> None:
    """Show where derivations and compiled code are kept, or remove them. MEHLER_CACHE=off keeps none."""
    from mehler import folders
    from mehler.console import say
    from mehler.derive import cache

    folder, files = cache.folder(), cache.files()
    if folder is None:
        say("the cache is off")
    elif clear:
        count, size = cache.clear()
        say(f"removed {count} files of {size} bytes from {folder}")
    else:
        say(f"{folder}\n{len(files)} files of {sum(path.lstat().st_size for path in files)} bytes")
        if fault := folders.fault(folder):
            say(f"not used: {fault}; make it your own, e.g. by chmod 700, or set MEHLER_CACHE to another folder")


@app.command()
def verify(
    out: Annotated[Path | None, typer.Option(help="Write the report as Markdown to this file.")] = None,
) -> None:
    """Prove that derived kernels equal the published closed forms, symbolically."""
    from mehler.derive.published import report, verify_all
    from mehler.files import text_file

    with text_file(out) as write:
        results = verify_all()
        write(report(results))
    raise typer.Exit(0 if all(result.passed for result in results) else 1)


@app.command()
def gallery(
    out: Annotated[Path | None, typer.Option(help="Write the page to this file; else it is printed.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="An activation of the gallery, by its name there. Repeatable."),
    ] = None,
    timeout: TimeoutOption = TIMEOUT,
) -> None:
    """A page of what is derived for each activation of a list; exit code 1 when one of them fails."""
    from mehler.console import progress_bar
    from mehler.derive.errors import DeriveError
    from mehler.derive.gallery import chosen, outcome, page
    from mehler.files import text_file

    if not timeout > 0:
        raise DeriveError(f"--timeout {timeout:g} is not a time limit; use a number of seconds > 0")
    entries = chosen(only or [])
    outcomes = []
    with text_file(out) as write:
        with progress_bar() as bar:
            task = bar.add_task("gallery", total=len(entries))
            for entry in entries:
                bar.update(task, description=entry.name)
                outcomes.append(outcome(entry, timeout))
                bar.advance(task)
        write(page(outcomes))
    raise typer.Exit(1 if any(o.failure is not None for o in outcomes) else 0)


@app.command()
def demo(
    activation: Annotated[str, typer.Option(help="A name or a function of x.")] = "relu",
    param: Params = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the results to this file.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("mehler-demo"),
    threads: ThreadsOption = None,
) -> None:
    """The main job on real data: derive, prove, generate, check, and classify scikit-learn's digits."""
    from mehler.demo import run
    from mehler.files import text_file

    with nullcontext() if json_file is None else text_file(json_file) as write:
        results = run(activation, parameters(param), out, threads)
        if write is not None:
            write(json.dumps(results, indent=2) + "\n")


def _has_module(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(f"mehler.generated.{name}") is not None
