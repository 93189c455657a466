"""A network is its definition: it is compared, hashed, copied and pickled as that, and used by other processes."""

import copy
import os
import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.svm import SVC

import mehler
from mehler.derive import pipeline

X = np.random.default_rng(0).standard_normal((24, 3))
LABELS = (X[:, 0] > 0).astype(int)
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes that fork")
DERIVED = "where(x > 0, x, b*x)"


@pytest.fixture(scope="module", params=["committed", "derived"])
def network(request: pytest.FixtureRequest) -> mehler.Network:
    if request.param == "committed":
        return mehler.network("leaky_relu", depth=2, sigma_w=1.4, sigma_b=0.1, target="numpy", a="1/10")
    return mehler.network(DERIVED, depth=2, sigma_w=1.4, sigma_b=0.1, target="numpy", b="1/10")


def test_equal_definitions_are_equal_networks() -> None:
    def made(**changed: Any) -> mehler.Network:
        return mehler.network(**{"activation": "leaky_relu", "depth": 2, "sigma_w": 1.4, "a": 0.1, **changed})

    for same in ({}, {"a": "0.1"}, {"a": "1/10"}, {"a": Fraction(1, 10)}, {"sigma_w": np.float64(1.4)}):
        assert made(**same) == made()
        assert hash(made(**same)) == hash(made())
    others = [
        {"depth": 3},
        {"sigma_w": 1.5},
        {"sigma_b": 0.1},
        {"a": 0.2},
        {"target": "numpy"},
        {"activation": "elu"},
    ]
    for other in others[:-1]:
        assert made(**other) != made()
    assert made() != "leaky_relu"
    assert len({made(), made(a="1/10"), made(depth=3)}) == 2


def test_a_copy_is_the_network(network: mehler.Network) -> None:
    assert copy.copy(network) is network
    assert copy.deepcopy({"kernel": network.ntk})["kernel"].__self__ is network


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_the_definition(
    network: mehler.Network, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the source of what was generated: nothing is derived when it is read."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("derived anew")

    data = pickle.dumps(network, protocol)
    monkeypatch.setattr(pipeline, "generate", fail)
    again = pickle.loads(data)
    assert again == network
    assert again.params == network.params
    np.testing.assert_array_equal(again.ntk(X), network.ntk(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(network.nngp, protocol))(X), network.nngp(X))


def test_what_was_computed_of_a_network_is_not_pickled() -> None:
    network = mehler.network("relu", depth=2)
    before = len(pickle.dumps(network))
    assert network.recursion is network.recursion
    assert len(pickle.dumps(network)) == before < 500


def test_a_source_whose_target_is_missing_is_generated_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    from mehler.numeric import evaluator as loading

    data = pickle.dumps(mehler.network("where(x > 0, x, b*x)", b=0.1, target="auto"))
    found = loading.importlib.util.find_spec
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: None if name == "numba" else found(name))
    mehler.api._evaluator_of.cache_clear()
    assert pickle.loads(data).evaluator.module.TARGET == "numpy"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learn_takes_a_kernel_apart_and_into_other_processes(network: mehler.Network) -> None:
    model = SVC(kernel=network.ntk)
    assert clone(model).kernel == network.ntk
    alone = cross_val_score(model, X, LABELS, cv=3)
    assert alone.min() > 0.4
    np.testing.assert_array_equal(cross_val_score(model, X, LABELS, cv=3, n_jobs=2), alone)
    deeper = mehler.network("relu", depth=1, target="numpy").nngp
    search = GridSearchCV(SVC(), {"kernel": [network.ntk, deeper], "C": [1, 10]}, cv=2, n_jobs=2).fit(X, LABELS)
    assert search.best_params_["kernel"] in (network.ntk, deeper)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


FORKED = """
import os, signal, threading
import numpy as np
import mehler
from threadpoolctl import threadpool_info

import scipy.linalg, sklearn.svm  # the libraries that have threads

before = [each["num_threads"] for each in threadpool_info()]
network, X = mehler.network("relu", depth=2, target="numpy"), np.random.default_rng(0).standard_normal((600, 4))
busy, forked = threading.Event(), threading.Event()


def hold(done, total):
    busy.set()
    forked.wait(60)


computing = threading.Thread(target=lambda: network.gram("ntk", X, threads=THREADS, progress=hold))
computing.start()
busy.wait(60)
child = os.fork()
if child == 0:
    signal.alarm(30)  # a child that waits for ever ends by this
    if [each["num_threads"] for each in threadpool_info()] != before:
        os._exit(2)
    K = network.gram("ntk", X[:300], threads=THREADS)
    os._exit(0 if np.isfinite(K).all() else 1)
status = os.waitpid(child, 0)[1]
forked.set()
computing.join()
print(os.waitstatus_to_exitcode(status))
"""


COMPILING = """
import os, signal, sys, threading, time
import mehler
import numpy as np

network, X = mehler.network("where(x > 0, x, x*0.3)", target="numba"), np.eye(3)
computing = threading.Thread(target=lambda: network.ntk(X))
computing.start()
time.sleep(1)
child = os.fork()
if child == 0:
    signal.alarm(90)
    os._exit(0 if np.isfinite(network.ntk(X)).all() else 1)
status = os.waitpid(child, 0)[1]
computing.join()
print(os.waitstatus_to_exitcode(status))
"""


@posix
@pytest.mark.slow
def test_a_fork_while_another_thread_compiles(tmp_path: Path) -> None:
    environment = os.environ | {"MEHLER_CACHE": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", COMPILING]
    found = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert (found.stdout, found.stderr) == ("0\n", "")


@posix
@pytest.mark.parametrize("threads", [1, 2])
def test_a_fork_while_another_thread_computes(threads: int) -> None:
    source = FORKED.replace("THREADS", str(threads))
    command = [sys.executable, "-W", "ignore", "-c", source]
    found = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (found.stdout, found.stderr) == ("0\n", "")
