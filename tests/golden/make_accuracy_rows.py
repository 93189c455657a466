"""Makes accuracy_rows.json beside this file: rows at small angles, and neural-tangents' NTK of each pair.

Two environments, since neural-tangents pins old versions of its own dependencies (see make_neural_tangents.py):

    python tests/golden/make_accuracy_rows.py rows                the rows, with mehler's environment
    PEER/bin/python tests/golden/make_accuracy_rows.py peer       the peer's values for them

Read by `mehler`'s table of accuracy, tests/benchmarks/accuracy.py. The rows are exact floats of their dtype; the
peer runs in that dtype, with σ_w = √2 and σ_b = 0.1, in the "ntk" parameterization.
"""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

OUTPUT = Path(__file__).with_name("accuracy_rows.json")
SCALES = (math.sqrt(2), 0.1)
DEPTHS = (1, 10)
DTYPES = ("float64", "float32")
ACTIVATIONS = {"relu": "Relu()", "erf": "Erf()", "gelu": "Gelu()"}
ANGLES = [float(f"1e-{k}") for k in range(1, 13)]


def rows() -> None:
    from mehler.numeric.precision.network import pair_of_rows

    pairs = []
    for dtype in DTYPES:
        for angle in ANGLES:
            if angle >= np.finfo(dtype).eps:
                x, y = pair_of_rows(angle, "0", 1.0, dtype)
                pairs.append({"dtype": dtype, "angle": angle, "x": x.tolist(), "y": y.tolist()})
    write({"sigma_w": SCALES[0], "sigma_b": SCALES[1], "depths": DEPTHS, "pairs": pairs})


def peer() -> None:
    import jax
    from neural_tangents import stax

    jax.config.update("jax_platforms", "cpu")
    data = json.loads(OUTPUT.read_text(encoding="utf-8"))

    def dense() -> Any:
        return stax.Dense(1, W_std=SCALES[0], b_std=SCALES[1], parameterization="ntk")

    for dtype in DTYPES:
        jax.config.update("jax_enable_x64", dtype == "float64")
        for name, constructor in ACTIVATIONS.items():
            for depth in DEPTHS:
                hidden = [layer for _ in range(depth) for layer in (dense(), eval(constructor, vars(stax)))]
                *_, kernel_fn = stax.serial(*hidden, dense())
                for pair in (p for p in data["pairs"] if p["dtype"] == dtype):
                    x, y = (np.asarray([pair[key]], dtype) for key in "xy")
                    value = np.asarray(kernel_fn(x, y, "ntk"))
                    assert value.dtype == dtype
                    pair.setdefault("ntk", {})[f"{name} {depth}"] = float(value[0, 0])
    packages = ("neural-tangents", "jax", "jaxlib", "numpy")
    write(data | {"versions": {name: version(name) for name in packages}})


def write(data: dict[str, Any]) -> None:
    OUTPUT.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    {"rows": rows, "peer": peer}[sys.argv[1]]()
