"""One case of the benchmark, alike for ours and the peers, and so without an import of either.

The rows are standard normal with seed 0. The network has `depth` hidden layers with sigma_w = sqrt(2) and
sigma_b = 0.1 (0 for scikit-ntk, whose bias is another).
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from pathlib import Path

SEED, SIGMA_W, SIGMA_B, CORNER = 0, 2**0.5, 0.1, 256


def arguments(programs):
    parser = argparse.ArgumentParser()
    parser.add_argument("program", choices=programs)
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--d", type=int, required=True)
    parser.add_argument("--depth", type=int, required=True)
    parser.add_argument("--activation", required=True)
    parser.add_argument("--dtype", choices=("float32", "float64"), required=True)
    parser.add_argument("--repeat", type=int, required=True)
    parser.add_argument("--imported", action="store_true", help="import first what programs import late")
    parser.add_argument("--corner", help="write the first rows and columns of the result to this .npy file")
    return parser.parse_args()


def peak():
    """Bytes of memory that this process has held at most."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss starts there from that of the process that started this one
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure(args, prepare, versions):
    """Print a JSON line: seconds of the first call and of the others, and the peak of memory above the imports.

    `prepare` gives for the rows a function of no arguments that computes their NTK.
    """
    import numpy as np

    idle = peak()
    X = np.random.default_rng(SEED).standard_normal((args.n, args.d)).astype(args.dtype)
    start = time.perf_counter()
    compute = prepare(X)
    result = compute()
    first, times = time.perf_counter() - start, []
    for _ in range(args.repeat):
        del result
        start = time.perf_counter()
        result = compute()
        times.append(time.perf_counter() - start)
    above = peak() - idle
    if args.corner:
        np.save(args.corner, np.asarray(result[:CORNER, :CORNER]))
    seconds = statistics.median(times) if times else first
    versions = {"Python": platform.python_version(), "NumPy": np.__version__, **versions}
    print(json.dumps({"first": first, "seconds": seconds, "memory": above, "versions": versions}))
