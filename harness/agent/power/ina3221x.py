"""Rails of NVIDIA's own INA3221 driver (JetPack 4: Jetson Nano, TX2, Xavier): `in_powerN_input` in mW.

Names stand in `rail_name_N`. The driver gives mW as whole numbers; how long it averages it does not say.
"""

from __future__ import annotations

import glob
import os

from harness.agent.power.rail import MODULE, RAILS, FileProbe, Rail, check_readable, read_text

CHANNELS = 3
_WHOLE_MODULE = frozenset({"POM_5V_IN", "VDD_IN"})
_PLACES = (("bus", "i2c", "drivers", "ina3221x", "*-*", "iio:device*"), ("bus", "iio", "devices", "iio:device*"))


def list_rails(root: str) -> list[Rail]:
    """Return the rails of every such chip below `root`, each once."""
    rails, seen = [], set()
    for place in _PLACES:
        for device in sorted(glob.glob(os.path.join(root, *place))):
            if os.path.realpath(device) not in seen and os.path.exists(os.path.join(device, "rail_name_0")):
                seen.add(os.path.realpath(device))
                rails += _list_channels(device)
    return rails


def _list_channels(device: str) -> list[Rail]:
    rails = []
    for channel in range(CHANNELS):
        path = os.path.join(device, f"in_power{channel}_input")
        label = read_text(os.path.join(device, f"rail_name_{channel}"))
        if not os.path.exists(path) or not label or "NC" in label.upper().split("_"):
            continue
        pair = tuple(os.path.join(device, f"in_{what}{channel}_input") for what in ("voltage", "current"))
        rival = FileProbe(pair, 1e-6) if all(os.path.exists(file) for file in pair) else None
        scope = MODULE if label.upper() in _WHOLE_MODULE else RAILS
        probe = FileProbe((path,), 1e-3)
        fault = check_readable(path)
        rails.append(
            Rail("ina3221x", f"power{channel}", label, probe, scope=scope, step=1e-3, rival=rival, fault=fault)
        )
    return rails
