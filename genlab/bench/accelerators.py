"""What an accelerator's driver tells of it: once at length, and its state whenever asked."""

from __future__ import annotations

import subprocess

from genlab.bench.machine import Accelerator
from genlab.device import Device

SETTINGS = {  # nvidia-smi's names -> ours
    "clocks.max.sm": "most_sm_clock",
    "clocks.max.mem": "most_memory_clock",
    "clocks.applications.graphics": "application_clock",
    "power.limit": "power_limit",
    "persistence_mode": "persistence",
    "ecc.mode.current": "ecc",
    "mig.mode.current": "mig",
    "compute_mode": "compute_mode",
    "pcie.link.gen.current": "pcie_generation",
    "pcie.link.width.current": "pcie_width",
}
STATE = {
    "clocks.sm": "sm_clock",
    "clocks.mem": "memory_clock",
    "power.draw": "power",
    "temperature.gpu": "temperature",
    "utilization.gpu": "utilisation",
    "clocks_throttle_reasons.active": "throttle_bits",
    "clocks_throttle_reasons.hw_slowdown": "throttled_by_hardware",
    "clocks_throttle_reasons.sw_thermal_slowdown": "throttled_by_heat",
    "clocks_throttle_reasons.sw_power_cap": "throttled_by_power",
}
THROTTLED = ("throttled_by_hardware", "throttled_by_heat")


def describe(device: Device) -> Accelerator | None:
    """Describe an accelerator; None for the CPU."""
    if device.can.host_memory:
        return None
    return Accelerator(
        device=str(device.on),
        name=device.name,
        memory=device.memory,
        driver=_asked(device, {"driver_version": "driver"}).get("driver"),
        capability=device.runtime.get("capability"),
        settings=_asked(device, SETTINGS),
    )


def state(device: Device) -> dict[str, str]:
    """Return clocks, power, temperature and throttling as they are now; empty where no driver tells."""
    return _asked(device, STATE)


def _asked(device: Device, names: dict[str, str]) -> dict[str, str]:
    """Ask nvidia-smi one by one where it refuses all together: what it knows differs from version to version."""
    if device.uuid is None:
        return {}
    together = _query(device.uuid, list(names))
    if together is None:
        alone = {name: _query(device.uuid, [name]) for name in names}
        found = {name: values[0] for name, values in alone.items() if values}
    else:
        found = dict(zip(names, together, strict=True))
    return {names[name]: value for name, value in found.items() if value not in ("[N/A]", "[Not Supported]", "")}


def _query(uuid: str, names: list[str]) -> list[str] | None:
    command = ["nvidia-smi", "-i", uuid, f"--query-gpu={','.join(names)}", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    values = [value.strip() for value in said.strip().split(",")]
    return values if len(values) == len(names) else None
