"""The works that derivations cite: key → full reference."""

import re
from collections.abc import Mapping
from types import MappingProxyType

REFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "Mehler 1866": "F. G. Mehler, Ueber die Entwicklung einer Function von beliebig vielen Variablen nach "
        "Laplaceschen Functionen höherer Ordnung, J. reine angew. Math. 66 (1866) 161-176.",
        "Sheppard 1899": "W. F. Sheppard, On the application of the theory of error to cases of normal "
        "distribution and normal correlation, Phil. Trans. R. Soc. A 192 (1899) 101-167.",
        "Plackett 1954": "R. L. Plackett, A reduction formula for normal multivariate integrals, Biometrika 41 "
        "(1954) 351-360.",
        "Owen 1956": "D. B. Owen, Tables for computing bivariate normal probabilities, Ann. Math. Statist. 27 "
        "(1956) 1075-1090.",
        "Price 1958": "R. Price, A useful theorem for nonlinear devices having Gaussian inputs, IRE Trans. Inform. "
        "Theory 4 (1958) 69-72.",
        "Stein 1981": "C. M. Stein, Estimation of the mean of a multivariate normal distribution, Ann. Statist. 9 "
        "(1981) 1135-1151.",
        "Williams 1998": "C. K. I. Williams, Computation with infinite neural networks, Neural Computation 10 "
        "(1998) 1203-1216.",
        "Genz 2004": "A. Genz, Numerical computation of rectangular bivariate and trivariate normal and t "
        "probabilities, Statistics and Computing 14 (2004) 251-260.",
        "Cho and Saul 2009": "Y. Cho and L. K. Saul, Kernel methods for deep learning, Advances in Neural "
        "Information Processing Systems 22 (2009) 342-350.",
        "Daniely et al. 2016": "A. Daniely, R. Frostig and Y. Singer, Toward deeper understanding of neural "
        "networks: the power of initialization and a dual view on expressivity, Advances in Neural Information "
        "Processing Systems 29 (2016).",
        "Kan and Robotti 2017": "R. Kan and C. Robotti, On moments of folded and truncated multivariate normal "
        "distributions, J. Comput. Graph. Statist. 26 (2017) 930-934.",
        "Jacot et al. 2018": "A. Jacot, F. Gabriel and C. Hongler, Neural tangent kernel: convergence and "
        "generalization in neural networks, Advances in Neural Information Processing Systems 31 (2018).",
    }
)


def cited(citation: str) -> list[tuple[str, bool]]:
    """The parts of a citation such as "Stein 1981; Sheppard 1899", each with whether it is a known work."""
    parts = [part.strip().replace(" & ", " and ") for part in citation.split(";") if part.strip()]
    return [(part, part in REFERENCES) for part in parts]


def anchor(key: str) -> str:
    """A name for a key that can stand in an HTML id and in \\cite: "stein-1981"."""
    return re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")
