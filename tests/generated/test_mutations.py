"""Damaged on purpose, the generated modules must fail the golden values, or what `mehler check` measures.

The damage is done to the syntax tree, so that it follows the code however that is written: every sum, product,
call, comparison and constant of the functions and of the module is a place. A mutant counts when it differs from
the module by more than twice the budget at one of a thousand other points, or of a hundred other rows: what does
not is neutral, a constant that is off by one float, say. A survivor counts and passes; the test names it.
"""

import ast
import copy
import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import mehler.generated
from mehler.certify import ANGLES
from mehler.numeric.evaluator import Evaluator, load_source
from mehler.numeric.precision.budgets import budget
from mehler.numeric.precision.network import BUDGET, Case, Expected, compare_network, expected_network
from mehler.numeric.precision.points import adversarial, regions
from mehler.numeric.precision.ulp import errors_at

FOLDER = Path(mehler.generated.__file__).parent
GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.name != "__init__.py")
SAMPLED = {"relu": 5, "gelu": 12, "leaky_relu": 3}
FAST = {"relu", "step", "sin"}
DTYPES = ("float64", "float32")
LEFT_ALONE = {"_floats"}

Mutation = tuple[str, Callable[[ast.AST], None]]


def _published() -> Any:
    spec = spec_from_file_location("published", GOLDEN / "published.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Mutators: from a node to the nodes that might take its place.


def _operators(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.BinOp):
        swapped = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}.get(type(node.op))
        if swapped:
            yield swapped.__name__, ast.BinOp(node.left, swapped(), node.right)
            yield "left alone", node.left
        if isinstance(node.op, ast.Add | ast.Mult):
            yield "right alone", node.right
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        yield "without its sign", node.operand
    if isinstance(node, ast.Compare):
        other = {ast.Gt: ast.LtE, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.LtE: ast.Gt}.get(type(node.ops[0]))
        if other:
            yield "comparison reversed", ast.Compare(node.left, [other()], node.comparators)


CALLS = {"sin": "cos", "cos": "sin", "sinh": "cosh", "cosh": "sinh", "exp": "expm1", "expm1": "exp",
         "maximum": "minimum", "minimum": "maximum", "arctan": "arcsinh", "arcsin": "arctan"}  # fmt: skip


def _calls(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
        return
    name, np_ = node.func.attr, node.func.value
    if name in ("sqrt", "abs", "sign", "log1p"):
        yield f"no {name}", node.args[0]
    if name in CALLS:
        yield CALLS[name], ast.Call(ast.Attribute(np_, CALLS[name], ast.Load()), node.args, node.keywords)
    if name == "where" and len(node.args) == 3:
        yield "branches swapped", ast.Call(node.func, [node.args[0], *node.args[:0:-1]], [])
    if name == "arctan2":
        yield "arguments swapped", ast.Call(node.func, node.args[::-1], [])


def _constants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    if not isinstance(node, ast.Constant) or isinstance(node.value, bool):
        return
    if isinstance(node.value, float):
        with np.errstate(over="ignore"):
            single = float(np.float32(node.value))
        others = {
            "to 8 digits": float(f"{node.value:.8g}"),
            "its 16th digit": node.value * (1 + 5e-15),
            "in single precision": single,
            "times 10": 10 * node.value,
            "over 10": node.value / 10,
        }
        yield from ((what, ast.Constant(v)) for what, v in others.items() if v != node.value)
    elif isinstance(node.value, int):
        yield "plus 1", ast.Constant(node.value + 1)
        yield "minus 1", ast.Constant(node.value - 1)


def _places(tree: ast.Module) -> Iterator[tuple[str, list[tuple[Any, str, int | None]]]]:
    """(function or constant, where each of its nodes hangs), docstrings, defaults and checks of input left out."""
    for part in tree.body:
        constant = isinstance(part, ast.Assign) and isinstance(part.value, ast.Constant | ast.List | ast.Call | ast.BinOp)
        if isinstance(part, ast.FunctionDef) and part.name not in LEFT_ALONE:
            yield part.name, [at for statement in part.body for at in _within(statement)]
        elif constant and not _header(part):  # type: ignore[arg-type]
            yield ast.unparse(part.targets[0]), list(_within(part))  # type: ignore[attr-defined]


def _header(part: ast.Assign) -> bool:
    value = part.value
    text = isinstance(value, ast.Constant) and not isinstance(value.value, float)
    return text or ast.unparse(part.targets[0]).startswith("BUDGETS")


def _within(node: ast.AST) -> Iterator[tuple[Any, str, int | None]]:
    if isinstance(node, ast.If) and any(isinstance(s, ast.Raise) for s in node.body):
        return
    for name, value in ast.iter_fields(node):
        for i, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST):
                yield node, name, i
                yield from _within(child)


@cache
def mutants(name: str) -> list[tuple[str, str]]:
    """(what was done, the source) of every mutant of a module."""
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    found = []
    for where, spots in _places(tree):
        for parent, field, i in spots:
            held = getattr(parent, field)
            node = held if i is None else held[i]
            for mutate in (_operators, _calls, _constants):
                for what, other in mutate(node):
                    label = f"{name}.{where}: {ast.unparse(node)[:70]}: {what}"
                    _put(parent, field, i, copy.deepcopy(other))
                    found.append((label, ast.unparse(ast.fix_missing_locations(tree))))
                    _put(parent, field, i, node)
    return found + list(appended(name, source))


def _put(parent: Any, field: str, i: int | None, node: ast.AST) -> None:
    if i is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[i] = node


APPENDED = {
    "the sine of the angle from its cosine": ("polar", """
def polar(q1, q2, c):
    rho, _, *rest = _polar(q1, q2, c)
    return (rho, np.sqrt(1 - rho * rho), *rest)
"""),
    "a diagonal by the formula for pairs, of a rounded angle": ("kernel_diag", """
def kernel_diag(q, **params):
    q, = _floats(q)
    return kernel(q, q, q * (1 - 1e-14), **params)
"""),
    "Theta without its last layer": ("recursion", """
def recursion(*state, **params):
    (sigma, gap), (theta, gap_t) = _recursion(*state, **params)
    return (sigma, gap), (theta - sigma, gap_t)
"""),
    "a Gram matrix that is not symmetric": ("_gram", """
def _gram(which, X, Y, *rest, **params):
    matrix = __gram(which, X, Y, *rest, **params)
    if Y is None:
        matrix[np.tril_indices(len(matrix), -1)] *= 1.5
    return matrix
"""),
    "in single precision": ("kernel", """
def kernel(q1, q2, c, **params):
    return _kernel(q1, q2, c, **params).astype(np.float32).astype(np.float64)
"""),
}  # fmt: skip


def appended(name: str, source: str) -> Iterator[tuple[str, str]]:
    """Mutants whose functions are replaced as a whole, the former one at hand under a name with a dash."""
    for what, (function, code) in APPENDED.items():
        if f"\ndef {function}(" in source:
            yield f"{name}.{function}: {what}", f"{source}\n_{function} = {function}\n{code}"


# The checks.


@cache
def networks(name: str, dtype: str) -> tuple[Expected, ...]:
    dual = _published().dual(name, _case(name, dtype)["params"])
    return tuple(
        expected_network(
            dual, dtype, angles=ANGLES, factors=(1.0, 1.5, 1e-3), depths=(1, 3), digits=18
        )
    )


@cache
def _cases() -> Any:
    return json.loads((GOLDEN / "precision.json").read_text(encoding="utf-8"))["cases"]


def _case(name: str, dtype: str) -> Any:
    return _cases()[name][dtype]


@cache
def golden(name: str, dtype: str) -> dict[tuple[float, float, float], Any]:
    case = _case(name, dtype)
    with mpmath.workdps(45):
        table = {(float(q),) * 3: e["values"] for q, e in case["diagonal"].items()}
        table |= {(5e-324,) * 3: e["values"] for q, e in case["diagonal"].items() if not float(q)}
        table |= {tuple(e["at"]): e["values"] for e in case["points"]}
        return {at: tuple(map(mpmath.mpf, values)) for at, values in table.items()}


def errors_of(name: str, source: str) -> Iterator[tuple[Any, float]]:
    """Each error of a module, divided by its budget."""
    subject = Evaluator(load_source(source, name), {})
    module = original(name)
    for dtype in DTYPES:
        values = golden(name, dtype)
        for at in values:
            if at == (5e-324,) * 3:
                continue
            for function, error in errors_at(subject, lambda *p: values[p], at, dtype).items():  # noqa: B023
                yield (dtype, function, at), error / budget(module, dtype, function)
        for pair in networks(name, dtype):
            for case in compare_network(subject, [pair]):
                yield (dtype, _key(case)), case.units(dtype) / BUDGET
        yield (dtype, "cluster"), _cluster_error(name, subject, dtype)
    # Last the points of `mehler check`: what passes so far is the least damaged.
    for dtype in DTYPES:
        exact = published(name, dtype)
        for at in (p for region in (*regions(dtype), *adversarial(dtype)) for p in region.points):
            for function, error in errors_at(subject, exact, at, dtype).items():
                yield (dtype, function, at), error / budget(module, dtype, function)


def _cluster_error(name: str, subject: Evaluator, dtype: str) -> float:
    """The error of a Gram matrix of near-duplicates against the committed module, a pair at a time, over 40 eps."""
    rng = np.random.default_rng(3)
    X = (np.ones((1, 4)) + 1e-4 * rng.standard_normal((12, 4))).astype(dtype)
    network = {"depth": 2, "sigma_w": 1.3, "sigma_b": 0.2}
    K = subject.module.ntk(X, **network)
    E = [[original(name).ntk(x[None], y[None], **network)[0, 0] for y in X] for x in X]
    return float(np.max(np.abs(K / np.array(E) - 1)) / (40 * np.finfo(dtype).eps))


@cache
def published(name: str, dtype: str) -> Callable[[float, float, float], tuple[Any, Any]]:
    params, known = _case(name, dtype)["params"], _published().published
    return cache(lambda q1, q2, c: known(name, q1, q2, c, params, 20))


@cache
def errors_before(name: str) -> dict[Any, float]:
    """Those of the committed module."""
    return dict(errors_of(name, (FOLDER / f"{name}.py").read_text(encoding="utf-8")))


def _key(case: Case) -> tuple[Any, ...]:
    return case.kernel, case.side, case.angle, case.factor, case.depth, case.network


@cache
def original(name: str) -> Any:
    return load_source((FOLDER / f"{name}.py").read_text(encoding="utf-8"), name)


def caught(name: str, source: str) -> bool:
    """Whether an error is over its budget, and over that of the committed module at the same point."""
    before = errors_before(name)
    try:
        return any(not error <= max(1.0, 1.5 * before[key]) for key, error in errors_of(name, source))
    except Exception:  # whatever a damaged file does
        return True


def neutral(name: str, source: str) -> bool:
    """Whether a mutant stays within twice the budget of the module at a thousand points that no check uses."""
    module = original(name)
    try:
        mutant = load_source(source, name)
        return all(_as_good(module, mutant, dtype) for dtype in DTYPES)
    except Exception:
        return False


def _as_good(module: Any, mutant: Any, dtype: str) -> bool:
    points = [p for region in (*regions(dtype, 99, 60), *adversarial(dtype)) for p in region.points]
    q1, q2, c = (np.asarray(v, dtype) for v in zip(*points, strict=True))
    X = np.random.default_rng(7).standard_normal((12, 3)).astype(dtype)
    with np.errstate(all="ignore"):
        for function, values in {
            "kernel": (q1, q2, c), "kernel_dot": (q1, q2, c), "kernel_diag": (q1,), "kernel_dot_diag": (q1,)
        }.items():  # fmt: skip
            ours, theirs = (getattr(m, function)(*values) for m in (module, mutant))
            diagonal = getattr(module, f"{function.removesuffix('_diag')}_diag")
            one, other = diagonal(values[0]), diagonal(values[1 % len(values)])
            tiny = np.finfo(dtype).tiny
            # Where one of them underflows, the scale is not known here: such a point does not count.
            unit = np.where(np.minimum(one, other) < tiny, np.inf, np.spacing(np.sqrt(one) * np.sqrt(other)))
            if not _same(ours, theirs, 2 * budget(module, dtype, function) * unit):
                return False
        for function in ("nngp", "ntk"):
            for network in ({"depth": 1}, {"depth": 3, "sigma_w": 1.3, "sigma_b": 0.2}):
                for other in (None, X[:5]):
                    ours, theirs = (getattr(m, function)(X, other, **network) for m in (module, mutant))
                    if not _same(ours, theirs, 200 * np.finfo(dtype).eps * (1 + np.abs(ours))):
                        return False
    return True


def _same(ours: Any, theirs: Any, allowed: Any) -> bool:
    both = np.isfinite(ours) & np.isfinite(allowed)
    return np.shape(ours) == np.shape(theirs) and bool(np.all(np.abs(ours - theirs)[both] <= allowed[both]))


def _verdict(name: str, chosen: list[tuple[str, str]]) -> tuple[int, list[str]]:
    counted, survivors = 0, []
    for what, source in chosen:
        if caught(name, source):
            counted += 1
        elif not neutral(name, source):
            counted += 1
            survivors.append(what)
    return counted, survivors


@pytest.mark.parametrize("name", ["relu", *(pytest.param(n, marks=pytest.mark.slow) for n in ("leaky_relu", "gelu"))])
def test_a_sample_of_the_damage_is_caught(name: str) -> None:
    chosen = mutants(name)
    whole = chosen[-len(APPENDED) :]
    sample = random.Random(0).sample(chosen[: -len(APPENDED)], SAMPLED[name]) + whole
    counted, survivors = _verdict(name, sample)
    assert counted >= SAMPLED[name] // 2
    assert survivors == []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_damage_is_caught(name: str) -> None:
    counted, survivors = _verdict(name, mutants(name))
    assert counted >= 25
    assert survivors == []


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_the_module_itself_is_neutral_and_not_caught(name: str) -> None:
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert neutral(name, source)
    assert name not in SAMPLED or not caught(name, source)
    assert neutral(name, ast.unparse(ast.parse(source)))
