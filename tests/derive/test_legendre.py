"""Gauss-Legendre rules, by what defines them."""

import mpmath
import pytest

from mehler.derive.evaluate import context
from mehler.derive.legendre import legendre


@pytest.mark.parametrize("prec", [40, 130, 700])
@pytest.mark.parametrize("order", [1, 2, 3, 8, 45, 120])
def test_it_is_exact_for_polynomials(order: int, prec: int) -> None:
    ctx = context(15)
    ctx.prec = prec
    nodes = legendre(ctx, order)
    ctx.prec += 40
    assert len(nodes) == order
    for n in {0, 2, order // 2 * 2, 2 * order - 2} & set(range(2 * order)):
        assert abs((n + 1) * ctx.fsum(w * t**n for t, w in nodes) - 2) < ctx.mpf(2) ** (4 - prec) * (n + 1)
    assert abs(ctx.fsum(w * t for t, w in nodes)) < ctx.mpf(2) ** -prec


@pytest.mark.parametrize(("order", "prec"), [(45, 130), (700, 200)])
def test_nodes_are_the_roots_of_the_legendre_polynomial(order: int, prec: int) -> None:
    """The outermost ones too, where cancellation is worst."""
    ctx = context(15)
    ctx.prec = prec
    nodes = [t for t, _ in legendre(ctx, order)[: order // 2]]
    assert nodes == sorted(nodes, reverse=True)
    ctx.prec += 40
    for t in (nodes[0], nodes[1], nodes[order // 4], nodes[-1]):
        before, value = ctx.one, t
        for m in range(2, order + 1):
            before, value = value, ((2 * m - 1) * t * value - (m - 1) * before) / m
        slope = order * (t * value - before) / (t * t - 1)
        assert abs(value / slope) < ctx.mpf(2) ** -prec


def test_the_global_precision_does_not_matter() -> None:
    ctx = context(60)
    with mpmath.workprec(20):
        nodes = legendre(ctx, 20)
    assert abs(ctx.fsum(w * t**38 for t, w in nodes) - ctx.mpf(2) / 39) < 1e-59
