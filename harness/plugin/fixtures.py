"""Fixtures for suites written in Python: `device`, `artifact`, `measure`, `gate`.

A test asks for a board, measures artifacts on it and checks limits; all failures come at once when it ends, and what
was measured enters the run record and the release decision like any cell of a `*.suite.yaml`.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from harness.plugin.collect import EVIDENCE_KEY, measuring_of
from harness.plugin.python_suite import ArtifactMaker, BoardHandle, Gate, Measurer, PythonSuite

_SUITE = pytest.StashKey[PythonSuite]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every test that asks for `device` once per board of the farm."""
    if "device" in metafunc.fixturenames:
        names = [device.name for device in measuring_of(metafunc.config).farm.devices]
        metafunc.parametrize("device", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> BoardHandle:
    """One board of `--devices`; the test runs once per board."""
    farm = measuring_of(request.config).farm
    return BoardHandle(next(spec for spec in farm.devices if spec.name == request.param))


@pytest.fixture
def _python_suite(request: pytest.FixtureRequest, subtests: pytest.Subtests, device: BoardHandle) -> PythonSuite:
    if measuring_of(request.config).options.selftest:
        pytest.skip("a self-test plants faults in *.suite.yaml only")
    suite = PythonSuite(request.node, subtests, device, measuring_of(request.config))
    request.node.stash[_SUITE] = suite
    return suite


@pytest.fixture
def artifact(request: pytest.FixtureRequest) -> ArtifactMaker:
    """Name a model file: `artifact("digits_int8.onnx", runtime="onnxruntime")`, relative to the test's file."""
    return ArtifactMaker(request.path)


@pytest.fixture
def measure(_python_suite: PythonSuite) -> Measurer:
    """Measure an artifact on the test's board."""
    return Measurer(_python_suite)


@pytest.fixture
def gate(_python_suite: PythonSuite) -> Gate:
    """Check limits on what was measured."""
    return Gate(_python_suite)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Send what a test measured, then report its gates; a test that broke off still sends what it has."""
    try:
        outcome = yield
    finally:
        suite = pyfuncitem.stash.get(_SUITE, None)
        if suite is not None and suite.cells:
            pyfuncitem.stash[EVIDENCE_KEY] = suite.evidence()
    if suite is not None:
        suite.report()
    return outcome
