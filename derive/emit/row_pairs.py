"""The text of a generated NumPy module on pairs of rows: their products, and angles that are small or near π.

What a matrix product says of a small angle is a difference of rounded numbers. Rows that are close, or opposite,
are compared anew: all rows of a cluster by one more product, of their projections to a tangent plane, and what is
too close for that pair by pair. Where a tile is one cluster, that product says all that the first would have.
"""

ROW_PAIRS = '''def _rows(X):
    """(X, squares of its rows): in single precision, if it is and no product can overflow or vanish there."""
    squares = np.empty(len(X))
    for start in range(0, len(X), 64):  # a sum along a row is taken by pairs, and errs by few roundings
        some = np.ascontiguousarray(X[start : start + 64])
        squares[start : start + 64] = np.multiply(some, some, dtype=np.float64).sum(axis=1)
    single = X.dtype == np.float32 and ((squares == 0) | (squares > 1e-25) & (squares < 1e25)).all()
    return np.ascontiguousarray(X, np.float32 if single else np.float64), squares


def _products(X, Z):
    """X Z'. In single precision 128 terms are summed at a time: that errs by less than 1e-6 of the rows' sizes."""
    width = 128 if X.dtype == Z.dtype == np.float32 else max(X.shape[1], 1)
    k = X[:, :width] @ Z[:, :width].T
    for start in range(width, X.shape[1], width):
        k += X[:, start : start + width] @ Z[:, start : start + width].T
    return k


def _row_angles(X, Z, rows, columns, within):
    """(X Z', 1 - |cos| of the angles or None where none is small or near pi, where two rows are one).

    `within`: X is Z, and what is above the diagonal counts.
    """
    one, two = rows[DIAGONAL], columns[DIAGONAL]
    if _is_cluster(X, Z, one, two):
        X, Z = X.astype(np.float64, copy=False), Z.astype(np.float64, copy=False)
        k, gap, good = _tangent(X, Z, X[0], one[0, 0])
        near = ~good
    else:
        k = _products(X, Z)
        if not _has_close(k, within, rows[ROOT_DIAGONAL], columns[ROOT_DIAGONAL]):
            return k, None, None
        if X.dtype != np.float64 or Z.dtype != np.float64:  # close rows have angles that are to be accurate
            X, Z = X.astype(np.float64), Z.astype(np.float64)
            k = X @ Z.T
        gap = _gap(k, rows, columns)
        near = gap < CLOSE
        if X.shape[1] > 1 and np.count_nonzero(near) > 4 * sum(k.shape):
            _clusters(X, Z, one, k, gap, near)
    if within:
        near, gap[np.tril_indices(len(gap))] = np.triu(near, 1), 1
    return k, gap, _one_by_one(X, Z, one, two, k, gap, near)


def _gap(k, end1, end2):
    return 1 - np.abs(k) / _size(end1[DIAGONAL], end2[DIAGONAL])


def _is_cluster(X, Z, k1, k2):
    """Whether there are many pairs, and all rows so near to the first that their angles are all refined."""
    if len(X) * len(Z) <= 4 * (len(X) + len(Z)) or X.shape[1] == 1:
        return False
    origin, square = X[0], k1[0, 0]
    at = np.linspace(0, len(Z) - 1, 8).astype(int)  # a few rows first, since most tiles are no cluster
    return all(
        (squares + square - 2 * (A @ origin) < min(CLOSE / 2, 1 / 64) * square).all()
        for A, squares in ((Z[at], k2[0, at]), (X, k1[:, 0]), (Z, k2[0]))
    )


def _clusters(X, Z, k1, k, gap, near):
    """Puts 1 - cos within clusters of rows into `gap`; `near` keeps what is too close for that."""
    for _ in range(8):
        row = int(np.argmax(near.sum(axis=1)))
        i, j = np.abs(X @ X[row]) > 0.8 * np.sqrt(k1[:, 0] * k1[row, 0]), near[row]
        if np.count_nonzero(j) < 32:
            return
        at = np.ix_(i, j)
        _, closer, good = _tangent(X[i], Z[j], X[row], k1[row, 0])
        good &= near[at] & (k[at] > 0)
        gap[at] = np.where(good, closer, gap[at])
        near[at] &= ~good


def _tangent(X, Z, origin, square):
    """(X Z', 1 - cos, whether that is accurate) of rows near an origin with that square, by one product.

    With s and t, the parts of two rows orthogonal to the origin over those along it, sin**2 of their angle is
    (|s - t|**2 + |s|**2 |t|**2 - (s.t)**2) / ((1 + |s|**2) (1 + |t|**2)), which errs by eps times the square of the
    cluster's radius.
    """
    (s, along1, s2), (t, along2, t2) = (_projected(A, origin, square) for A in (X, Z))
    k, gap, along2, t2 = s @ t.T, np.empty((len(X), len(Z))), along2.T, t2.T
    good, strip = np.empty(gap.shape, bool), max(1, CLOSE_STRIP // len(Z))
    scales, inverses, least = ([f(v) for v in pair] for f, pair in (
        (np.reciprocal, (along1, along2)), (lambda v: 1 / (1 + v), (s2, t2)), (lambda v: 16 * v * v, (s2, t2))
    ))
    for start in range(0, len(X), strip):
        at = slice(start, start + strip)
        product = k[at]
        product *= scales[0][at]
        product *= scales[1]
        chord = s2[at] + t2
        scratch = 2 * product
        chord -= scratch
        np.greater(chord, least[0][at], out=good[at])
        good[at] &= chord > least[1]
        sine = np.multiply(s2[at], t2, out=scratch)
        sine += chord
        sine -= np.multiply(product, product, out=chord)
        sine *= inverses[0][at]
        sine *= inverses[1]
        cos = np.subtract(1, sine, out=chord)
        np.sqrt(np.maximum(cos, 0, out=cos), out=cos)
        cos += 1
        np.divide(sine, cos, out=gap[at])
        product += 1
        product *= along1[at]
        product *= along2
    return k, gap, good


def _projected(A, origin, square):
    """(rows less what is along the origin, that, |the one|**2 over |the other|**2), the last two as columns."""
    rest, along, size2 = np.empty_like(A), np.empty((len(A), 1)), np.empty((len(A), 1))
    scratch = np.empty((64, A.shape[1]))
    for start in range(0, len(A), 64):
        part, at = rest[start : start + 64], slice(start, start + 64)
        np.subtract(A[at], origin, out=part)
        share = (part @ origin)[:, None] / square
        part -= np.multiply(share, origin, out=scratch[: len(part)])
        along[at] = (1 + share) * np.sqrt(square)
        size2[at, 0] = np.einsum("ij,ij->i", part, part)
    size2 /= along
    size2 /= along
    return rest, along, size2


def _one_by_one(X, Z, k1, k2, k, gap, near):
    """Puts 1 - |cos| of the rows `near` to each other, or opposite, into `gap`; where two rows are one."""
    same = np.zeros(k.shape, bool)
    for i in np.flatnonzero(near.any(axis=1)):
        x, (j,) = X[i], np.nonzero(near[i])
        z, factor = Z[j], (k[i, j] / k1[i])[:, None]
        same[i, j] = (z == x).all(axis=1)
        part = factor * x
        rest = z - part
        # A jump's kernel feels the root of the angle, a one-sided one vanishes at pi: all the digits are wanted.
        rest -= _product_error(factor, x, part)
        rest -= ((rest @ x) / k1[i])[:, None] * x
        square = np.einsum("ij,ij->i", rest, rest) / k2[0, j]
        square[same[i, j] | (z == -x).all(axis=1) | (len(x) == 1)] = 0  # numbers have no angle but 0 and pi
        gap[i, j] = square / (1 + np.sqrt(1 - square))
    return same


def _has_close(k, within, roots1, roots2):
    """Whether an angle is to be refined."""
    cos = (np.triu(k, 1) if within else k) * (1 / roots1)
    cos *= 1 / roots2
    return max(cos.max(initial=0), -cos.min(initial=0)) > 1 - CLOSE


def _copies(X, squares):
    """(i, j) for every row i that equals an earlier one, j being the first of them: copies have one kernel."""
    seen = {}
    values, counts = np.unique(squares, return_counts=True)
    alike = np.flatnonzero(np.isin(squares, values[counts > 1]))
    firsts = [(i, seen.setdefault((X[i] + 0.0).tobytes(), i)) for i in alike]
    return [(i, j) for i, j in firsts if i != j]
'''
