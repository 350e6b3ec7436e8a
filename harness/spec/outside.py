"""Meters that other packages bring: found by the entry points of a group, loaded only where a board names one.

Knows the names and what a class must have to be a meter; what a meter is, `harness.meters.port` says. A package's code
runs here as the user who starts Fleetgate, as every installed package's does.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from harness.spec.model import MeterSpec
from harness.spec.power import METERS
from harness.spec.validate import Refusal, quoted, suggest

GROUP = "fleetgate.meters"
_METHODS = ("__enter__", "__exit__", "read", "describe")
_HINT = f"meters of packages are entry points of the group {GROUP!r}; `fleetgate doctor` lists those installed"


def outside_meters() -> dict[str, tuple[EntryPoint, ...]]:
    """Find what the installed packages offer, by name; a name that two packages use has two entries."""
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in sorted(entry_points(group=GROUP), key=describe_entry):
        found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def describe_entry(entry: EntryPoint) -> str:
    """Name the package that an entry point comes from, and the class: `acme-meter 1.2 (acme.meter:Meter)`."""
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "a package without a name"
    return f"{package} ({entry.value})"


def load_meter(name: str) -> Callable[[MeterSpec], Any]:
    """Import the class of a package's meter.

    Raises:
        Refusal: no package, or more than one, has this name; it cannot be imported, or is no meter.
    """
    offers = outside_meters().get(name, ())
    if not offers:
        meant = suggest(name, [*METERS, *outside_meters()])
        raise Refusal(f"unknown meter {quoted(name)}", f"{meant} {_HINT}" if meant.startswith("did") else _HINT)
    if len(offers) > 1:
        both = " and ".join(describe_entry(entry) for entry in offers)
        raise Refusal(f"the meter {quoted(name)} is brought by two packages: {both}", "uninstall one of them")
    (entry,) = offers
    try:
        made = entry.load()
    except Exception as error:
        said = f"the meter {quoted(name)} of {describe_entry(entry)} cannot be loaded: {type(error).__name__}: {error}"
        raise Refusal(said, "install what it needs, or another version of it") from error
    missing = [method for method in _METHODS if not callable(getattr(made, method, None))]
    if missing or not callable(made):
        lacks = f": it has no {', '.join(missing)}" if missing else ""
        raise Refusal(f"{describe_entry(entry)} is no meter{lacks}", "see harness.meters.port.Meter")
    cls: Callable[[MeterSpec], Any] = made
    return cls


def check_outside(meter: MeterSpec) -> None:
    """Check that a package's meter can be made from what the farm says of it; it is not opened.

    Raises:
        Refusal: as `load_meter`, or the meter refuses its keys.
    """
    made = load_meter(meter.kind)
    try:
        made(meter)
    except Exception as error:
        said = f"the meter {quoted(meter.kind)} refuses what is said of it: {error or type(error).__name__}"
        raise Refusal(said, "see the words of the package") from error
