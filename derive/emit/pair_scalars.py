"""The text of what pairs of rows need beside their formulas, in fused loops and on a device alike."""

CACHED = '''
def _cached():
    """Whether Numba has a folder in which it can keep what it compiles."""
    try:
        njit(cache=True)(_cached)
    except RuntimeError:
        return False
    return True


# Of functions that are called from Python.
'''

CONSTANTS = (
    """
TILE = 256, 1024  # rows and columns of a tile: a product of this shape is faster than a square one
"""
    + CACHED
    + """\
COMPILED = {"nogil": True, "error_model": "numpy", "cache": _cached()}

# The last row of the table of rows, beside those of ends_of.
LIMIT = 14

# A buffer's parts, one of each for a block of columns.
BLOCK = 256
C, T, RHO, SINE, GAP, GAP_T, VALUE, TILT, GAP_VALUE, GAP_SLOPE = range(0, 10 * 256, 256)


"""
)

# Scalars that have no place to fill.
SCALARS = '''\
@njit(**SCALAR)
def s_size(v1, root1, v2, root2):
    """sqrt(v1 v2); exactly v where both are v."""
    product = v1 * v2
    return s_choose((product > 1e-290) & (product < 1e300), sqrt(product), root1 * root2)


@njit(**SCALAR)
def s_alike(v1, v2):
    """Whether variances are so near to each other that their differences keep their digits."""
    return (v1 < 12 * v2) & (v2 < 12 * v1)


@njit(**SCALAR)
def s_root(square):
    """The root of what rounding may have brought below 0."""
    return sqrt(s_choose(square < 0, 0.0, square))


@njit(**SCALAR)
def s_sum_gap(a1, a2, b1, b2, gap_a, gap_b):
    """1 - cos of a sum of kernels A + B, from the roots of their shares in the variances of its ends."""
    return a1 * a2 * gap_a + b1 * b2 * gap_b + ((a1 - a2) * (a1 - a2) + (b1 - b2) * (b1 - b2)) / 2


@njit(**SCALAR)
def s_angle(direct, k, gap):
    """(cos, sin, 1 - cos) of w2*K + b2, whose cosine is about `direct`, from 1 - cos or, where k < 0, 1 + cos."""
    cos = s_choose(gap < 0.125, copysign(1 - gap, k), direct)
    return cos, s_root(gap * (2 - gap)), s_choose(k < 0, 2 - gap, gap)


@njit(**SCALAR)
def s_kernel(one, root1, two, root2, direct, gap):
    """A kernel, from those of its ends with themselves where it is near to them: rounded once then."""
    apart = root1 - root2
    less = apart * apart / 2 + root1 * root2 * gap
    high, low = s_choose(one < two, two, one), s_choose(one < two, one, two)
    return s_choose(less < (high + low) / 8, high - ((high - low) / 2 + less), direct)


'''
