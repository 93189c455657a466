"""The exact text of the kernels, compiled for the GPUs that it is meant for: no GPU is needed, but CuPy and NVRTC are.

    pip install cupy-cuda13x nvidia-cuda-nvrtc nvidia-cuda-runtime

450 MB, so CI does without. The compiler is asked through CuPy, by a class that is private to it.
"""

import re
import struct
from pathlib import Path
from typing import Any

import pytest

import mehler.generated.gpu
import mehler.generated.tables.gpu

compiler = pytest.importorskip("cupy.cuda.compiler", reason="needs CuPy", exc_type=ImportError)
pytest.importorskip("nvidia", reason="needs nvidia-cuda-nvrtc")

FOLDERS = [Path(str(package.__file__)).parent for package in (mehler.generated.gpu, mehler.generated.tables.gpu)]
PATHS = {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"}
KERNELS = {"diagonals", "values", "rows", "entries"}
REGISTERS, STACK = 0x2F, 0x11  # attributes of .nv.info


def cubin_of(code: str, architecture: str) -> bytes:
    program = compiler._NVRTCProgram(code, "mehler.cu", method="cubin")
    cubin: bytes = program.compile((f"-arch={architecture}", "--std=c++17"))[0]
    return cubin


def resources(cubin: bytes) -> dict[str, dict[int, int]]:
    """{function: {REGISTERS: …, STACK: bytes}}, as ptxas -v prints them, from the ELF that a cubin is."""
    (table,) = struct.unpack_from("<Q", cubin, 40)
    size, count, names = struct.unpack_from("<3H", cubin, 58)
    heads = [struct.unpack_from("<IIQQQQIIQQ", cubin, table + size * n) for n in range(count)]

    def text(section: int, at: int) -> str:
        start = heads[section][4] + at
        return cubin[start : cubin.index(b"\0", start)].decode()

    sections = {text(names, head[0]): head for head in heads}
    symbols, info = sections[".symtab"], sections[".nv.info"]
    found: dict[str, dict[int, int]] = {}
    at, end = info[4], info[4] + info[5]
    while at < end:
        form, attribute, length = struct.unpack_from("<BBH", cubin, at)
        at += 4
        if form == 4:  # otherwise the length is the value
            if attribute in (REGISTERS, STACK):
                symbol, value = struct.unpack_from("<II", cubin, at)
                name = text(symbols[6], struct.unpack_from("<I", cubin, symbols[4] + 24 * symbol)[0])
                found.setdefault(name, {})[attribute] = value
            at += length
    return found


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("name", PATHS)
def test_it_compiles_and_nothing_spills(name: str, architecture: str, record_property: Any) -> None:
    """Without a stack there are no spills; and so few registers that at least 8 warps fit beside each other."""
    code = re.search(r'^CODE = r"""\n(.*?)"""', PATHS[name].read_text(encoding="utf-8"), re.S | re.M)
    assert code is not None
    found = resources(cubin_of(code[1], architecture))
    assert set(found) >= KERNELS
    # The device's own sin and cos keep 40 bytes for the reduction of large arguments.
    most = 40 if any("trig_reduction" in function for function in found) else 0
    assert all(each[STACK] <= most for each in found.values())
    registers = {kernel: found[kernel][REGISTERS] for kernel in sorted(KERNELS)}
    record_property("registers", registers)
    assert max(registers.values()) <= 255
    assert registers["entries"] * 256 <= 65536  # a block of 256 threads is launched


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_cupy_has_every_function_of_the_array_code(name: str) -> None:
    import cupy

    used = set(re.findall(r"\bxp\.(\w+)", PATHS[name].read_text(encoding="utf-8")))
    assert len(used) > 10
    assert not [name for name in used if not hasattr(cupy, name)]


def test_what_a_spill_looks_like() -> None:
    """An array that threads index at run time is on the stack, and is seen there."""
    code = """extern "C" __global__ void f(double* x, int n) {
        double a[64];
        for (int i = 0; i < 64; ++i) a[i] = x[i] * n;
        x[0] = a[n] + a[n + 1];
    }"""
    assert resources(cubin_of(code, "sm_80"))["f"][STACK] >= 512
