"""A CuPy without a GPU: the exact source of a module's kernels, compiled for this machine and run thread by thread."""

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

# What CUDA C++ has beyond C++. An intrinsic's result passes through a register that the compiler cannot see into: so
# it takes no part in a contraction here either.
SHIM = """
#include <cmath>
#include <cstring>
using std::sqrt; using std::fabs; using std::copysign; using std::log; using std::sin; using std::cos; using std::tan;
using std::sinh; using std::cosh; using std::tanh; using std::erfc;
#define __device__
#define __global__
#define __constant__ static const
struct three { long long x; };
static three threadIdx, blockIdx, blockDim, gridDim;
static inline double rounded(double x) { asm("" : "+x"(x)); return x; }
static inline double __dmul_rn(double a, double b) { return rounded(a * b); }
static inline double __dadd_rn(double a, double b) { return rounded(a + b); }
static inline double __dsub_rn(double a, double b) { return rounded(a - b); }
static inline long long __double_as_longlong(double x) { long long n; std::memcpy(&n, &x, 8); return n; }
static inline double __longlong_as_double(long long n) { double x; std::memcpy(&x, &n, 8); return x; }
"""
LAUNCH = """
extern "C" void host_{name}(long long blocks, long long threads, {parameters})
{{
    gridDim.x = blocks; blockDim.x = threads;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) {name}({arguments});
}}
"""
KERNEL = re.compile(r'extern "C" __global__ void (\w+)\(([^)]*)\)')


def with_shim(code: str) -> str:
    """C++ for the host: the code itself, and for each of its kernels a function that runs all threads."""
    launches = [
        LAUNCH.format(name=name, parameters=parameters, arguments=", ".join(re.findall(r"(\w+)(?=,|$)", parameters)))
        for name, parameters in KERNEL.findall(code)
    ]
    return SHIM + code + "".join(launches)


@pytest.fixture(scope="session")
def by_formula() -> Callable[[str], Any]:
    """The NumPy module of a closed form, also of one for which a module takes tables; each is made once."""
    from mehler.derive.emit.module import emit_numpy
    from mehler.derive.pipeline import closed_form, derive_dual
    from mehler.numeric.evaluator import load_source

    @functools.cache
    def module(name: str) -> Any:
        return load_source(emit_numpy(closed_form(derive_dual(name)), name), name)

    return module


@pytest.fixture(scope="session")
def host_library(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Any]:
    """(code, how products and sums contract) ↦ the library of its kernels; each is compiled once."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ to compile the kernels for this machine")
    folder: Path = tmp_path_factory.mktemp("host")
    fma = ["-mfma"] if " fma " in Path("/proc/cpuinfo").read_text() else []

    def library(code: str, contract: str = "off") -> Any:
        path = folder / hashlib.sha256((contract + code).encode()).hexdigest()[:16]
        if not path.with_suffix(".so").exists():
            path.with_suffix(".cpp").write_text(with_shim(code))
            flags = ["-std=c++17", "-O2", "-shared", "-fPIC", "-Wall", "-Werror", "-Wno-unused-but-set-variable", *fma, f"-ffp-contract={contract}"]
            command = [compiler, *flags, "-o", f"{path}.so", f"{path}.cpp"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr[:4000]
        return ctypes.CDLL(f"{path}.so")

    return library


@pytest.fixture(scope="session")
def on_host(host_library: Callable[[str, str], Any]) -> Callable[..., Any]:
    """The namespace of a CuPy module whose arrays are NumPy's or array-api-strict's and whose kernels run here."""

    def load(source: str, contract: str = "off") -> Any:
        class RawModule:
            def __init__(self, code: str, options: tuple[str, ...]) -> None:
                assert options == ("--std=c++17",)
                self.library = host_library(code, contract)

            def get_function(self, name: str) -> Callable[..., None]:
                def launch(grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...]) -> None:
                    function = getattr(self.library, f"host_{name}")
                    function.restype = None
                    function(*map(ctypes.c_longlong, grid + block), *map(_as_c, arguments))

                return launch

        stub = ModuleType("cupy")
        stub.RawModule, stub.asarray = RawModule, np.asarray  # type: ignore[attr-defined]
        known = sys.modules.get("cupy")
        sys.modules["cupy"] = stub
        try:
            names: dict[str, Any] = {"__name__": "generated"}
            exec(compile(source, "a CuPy module", "exec"), names)
        finally:
            del sys.modules["cupy"]
            if known is not None:
                sys.modules["cupy"] = known
        return SimpleNamespace(**{**names, "namespace": names})

    return load


def _as_c(argument: Any) -> Any:
    """What CUDA would get: a number of its own width, or the address of an array without gaps."""
    if isinstance(argument, np.int64):
        return ctypes.c_longlong(int(argument))
    if isinstance(argument, np.float64):
        return ctypes.c_double(float(argument))
    array = getattr(argument, "_array", argument)  # of array-api-strict
    assert isinstance(array, np.ndarray), type(argument)
    assert array.dtype == np.float64
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)
