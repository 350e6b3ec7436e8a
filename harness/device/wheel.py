"""Which wheels fit a board: platform tags, markers as the board would evaluate them, and known traps. Pure.

Source: PEP 600 (manylinux), PEP 656 (musllinux), PEP 508 (markers); traps were found by running the builds on boards.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from harness.errors import InfraError
from harness.records.run import Facts

OLDEST_GLIBC = 17
"""manylinux2014 is glibc 2.17, the oldest that PyPI's aarch64 wheels are built for."""


def parse_requirement(text: str) -> Requirement:
    """Parse `name==version`; no address, path or option is let through to pip.

    Raises:
        InfraError: it is something else.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise InfraError(f"{text!r} is not a requirement like `onnxruntime==1.32.0`", code="requirement") from error
    if requirement.url or requirement.marker:
        raise InfraError(f"{text!r}: a runtime is named by package and version only", code="requirement")
    return requirement


def platform_tags(facts: Facts) -> tuple[str, ...]:
    """Return the platform tags of wheels that the board can load, newest libc first.

    Raises:
        InfraError: the board did not say which libc it has.
    """
    found = re.fullmatch(r"(glibc|musl) (\d+)\.(\d+).*", facts.libc)
    if found is None:
        raise InfraError(f"the board does not say which C library it has ({facts.libc!r})", code="wheel")
    family, major, minor = found[1], int(found[2]), int(found[3])
    machine = facts.architecture
    if family == "musl":
        return tuple(f"musllinux_{major}_{number}_{machine}" for number in range(minor, 0, -1))
    tags = [f"manylinux_{major}_{number}_{machine}" for number in range(minor, OLDEST_GLIBC - 1, -1)]
    return (*tags, f"manylinux2014_{machine}", f"linux_{machine}")


def known_constraints(requirement: Requirement) -> tuple[str, ...]:
    """Return what must hold beside the metadata of a build: it is too lax, or does not know what the agent needs."""
    if canonicalize_name(requirement.name) == "xllamacpp":
        return ("numpy",)
    if canonicalize_name(requirement.name) == "tflite-runtime":
        # 2.14 is built against numpy 1; with 2 it imports and dies when the first Interpreter is made.
        return ("numpy<2",)
    return ()


def check_fits(requirement: Requirement, facts: Facts) -> None:
    """Refuse builds whose tags promise more than their libraries hold.

    Raises:
        InfraError: with the reason and what to use instead.
    """
    if canonicalize_name(requirement.name) == "executorch-numpy-runtime" and Version(facts.python) < Version("3.12"):
        raise InfraError(
            f"{requirement} needs Python 3.12 or newer, and the board has {facts.python}: it runs on boards with "
            "Debian 13 or newer, or with a newer Python that `python:` of the device names",
            code="wheel",
        )
    if canonicalize_name(requirement.name) != "ai-edge-litert" or not facts.libc.startswith("glibc "):
        return
    pins = [Version(pin.version) for pin in requirement.specifier if pin.operator == "=="]
    libc = Version(facts.libc.split()[1])
    if libc < Version("2.34") and (not pins or pins[0] >= Version("2")):
        raise InfraError(
            f"{requirement} is tagged for glibc 2.27 but its libraries need 2.34, and the board has {facts.libc}: "
            "set `runtimes: {tflite: tflite-runtime==2.13.0}` for this device or install a newer system there",
            code="wheel",
        )


def marker_environment(facts: Facts) -> dict[str, str]:
    """Return the variables of PEP 508 as the board's Python would give them."""
    short = ".".join(facts.python.split(".")[:2])
    return {
        "implementation_name": "cpython",
        "implementation_version": facts.python,
        "os_name": "posix",
        "platform_machine": facts.architecture,
        "platform_python_implementation": "CPython",
        "platform_release": facts.kernel,
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": facts.python,
        "python_version": short,
        "sys_platform": "linux",
        "extra": "",
    }


def missing_requirements(wheels: Iterable[Path], facts: Facts) -> tuple[str, ...]:
    """Return what the wheels need on the board and is not among them.

    pip evaluates markers for the Python that runs it, not for the one that is asked for; this closes the gap.
    """
    environment = marker_environment(facts)
    metadata = [_metadata(wheel) for wheel in wheels]
    have = {name for name, _ in metadata}
    wanted: dict[str, str] = {}
    for _, requirements in metadata:
        for text in requirements:
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            if name not in have and _applies(requirement.marker, environment):
                wanted[name] = f"{requirement.name}{requirement.specifier}"
    return tuple(wanted[name] for name in sorted(wanted))


def _applies(marker: Marker | None, environment: dict[str, str]) -> bool:
    return marker is None or marker.evaluate(environment)


def _metadata(wheel: Path) -> tuple[str, list[str]]:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        message = HeaderParser().parsestr(archive.read(name).decode())
    return canonicalize_name(message["Name"]), message.get_all("Requires-Dist") or []
