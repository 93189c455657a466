"""The two ways of Φ₂ far out, against each other; test_normal.py tests their use."""

import pytest

from mehler.derive.evaluate import context
from mehler.derive.normal_tails import corner_phi2, far_phi2


@pytest.mark.parametrize("point", [("-1e4", "-2e4", "0.3"), ("-3e5", "-3e5", "-0.4"), ("-1e8", "-1.001e8", "0.99")])
def test_the_series_far_out_is_the_integral(point: tuple[str, ...]) -> None:
    ctx = context(80)
    h, k, r = (ctx.mpf(v) for v in point)
    cut = (1 - r) * (1 + r)
    ctx.dps = 30
    series = corner_phi2(ctx, h, k, r, cut)
    ctx.dps = 80
    assert abs(series / far_phi2(ctx, min(h, k), max(h, k), r, ctx.sqrt(cut)) - 1) < 1e-28
    assert corner_phi2(ctx, h, abs(r * h), r, cut) is None  # no corner: one edge alone
