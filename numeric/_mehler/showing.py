"""What `mehler derive` answers with: text, JSON, values at points, the sphere, and reports."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any


def print_derivation(
    result: Any, values: list[dict[str, str]], on_sphere: dict[str, Any] | None, seconds: float, cached: bool
) -> None:
    print(result)
    if result.proof.checks:
        print(f"\nproof\n{result.proof}")
    if result.status != "numeric" and result.dual.impulses != 0:
        print(
            f"\nphi jumps; K' here is taken in the sense '{result.jumps}'. The jumps add to dK/dc:\n"
            f"    {result.dual.impulses_shown}\nwhich is infinite at c = sqrt(q1*q2), and the NTK diagonal with it."
        )
    if on_sphere is not None:
        print("\non the sphere q1 = q2 = 1, c = rho")
        for name, key in (("K ", "kernel"), ("K'", "kernel_dot")):
            print(f"    {name} = {on_sphere[key]}")
            for n, coefficient in enumerate(on_sphere[f"{key}_series"]):
                print(f"        rho^{n}: {coefficient}")
    for value in values:
        print(f"\nq1={value['q1']}, q2={value['q2']}, c={value['c']}")
        print(f"    K  = {value['kernel']}\n    K' = {value['kernel_dot']}")
    print(f"\nstatus {result.status}, {seconds:.2f} s{' from the cache' if cached else ''}")


def json_of(expr: str, result: Any, values: list[dict[str, str]], seconds: float, cached: bool) -> dict[str, Any]:
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
        "cached": cached,
    }


def value_at(result: Any, point: dict[str, str], digits: int) -> dict[str, str]:
    import mpmath

    kernel, kernel_dot = result.evaluate(point["q1"], point["q2"], point["c"], digits=digits)
    texts = {
        n: mpmath.nstr(v, digits, strip_zeros=False) for n, v in (("kernel", kernel), ("kernel_dot", kernel_dot))
    }
    return point | texts


def sphere_of(result: Any, terms: int) -> dict[str, Any]:
    from mehler.derive.pipeline import closed_form
    from mehler.derive.sphere import sphere

    on = sphere(closed_form(result))
    return {
        "kernel": str(on.kernel),
        "kernel_dot": str(on.kernel_dot),
        "kernel_series": [str(coefficient) for coefficient in on.series(terms)],
        "kernel_dot_series": [str(coefficient) for coefficient in on.series_dot(terms)],
        "latex": on.latex(),
    }


@contextmanager
def reports_at(paths: list[Path]) -> Iterator[Callable[[Any], None]]:
    """A function that writes a derivation to each of these files, whose formats are those of their names."""
    from mehler.derive.report import format_of, report
    from mehler.files import text_file

    formats = [format_of(path) for path in paths]
    with ExitStack() as stack:
        files = [stack.enter_context(text_file(path)) for path in paths]

        def write(result: Any) -> None:
            for kind, write_text in zip(formats, files, strict=True):
                write_text(report(result, kind))

        yield write
