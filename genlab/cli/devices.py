"""``genlab devices``: what this machine can train on."""

from __future__ import annotations

import typer

from genlab.cli.arguments import AsJson


def command(json: AsJson = False) -> None:
    """List the devices of this machine and what each can do.

    Example: genlab devices
    """
    from genlab.cli.tables import listing
    from genlab.device import available
    from genlab.units import as_json

    devices = available()
    if json:
        found = [
            {
                "device": str(device.on),
                "name": device.name,
                "memory": device.memory,
                "precisions": device.can.precisions,
                "runners": device.runners,
                "auto": device is devices[0],
            }
            for device in devices
        ]
        typer.echo(as_json(found))
        return
    rows = [
        (
            str(device.on),
            f"{device.memory / 2**30:.1f} GiB" if device.memory else "",
            ", ".join(device.can.precisions),
            ", ".join(device.runners),
            device.label,
        )
        for device in devices
    ]
    typer.echo(listing(("device", "memory", "precisions", "runners", "name"), rows))
    why = "the only device here" if len(devices) == 1 else "an accelerator comes before the CPU"
    typer.echo(f"\n--device auto takes {devices[0].on}: {why}")
