"""Where the time of a call goes: torch's profiler, its trace, and the operators that cost most."""

from __future__ import annotations

from torch.profiler import profile, supported_activities

from genlab.bench.result import Cost
from genlab.bench.works import Ready
from genlab.device import Device
from genlab.errors import RunError

WARM = 10  # calls before the profiler starts
LARGEST = 10


class Profiler:
    """Profiles some calls after the first ten, and then says that it is done."""

    def __init__(self, calls: int, device: Device) -> None:
        self.calls, self.device = calls, device
        self.seen = 0
        self.profiler = profile(activities=supported_activities())

    @property
    def done(self) -> bool:
        """Whether all calls have been profiled."""
        return self.seen >= WARM + self.calls

    def start(self) -> None:
        """Nothing to do yet."""

    def tick(self) -> None:
        """A call was made."""
        self.seen += 1
        if self.seen == WARM:
            self.device.synchronize()
            self.profiler.start()
        if self.done:
            self.device.synchronize()
            self.profiler.stop()


def profiled(work: Ready, calls: int, trace: str, device: Device) -> list[Cost]:
    """Profile some calls, write the trace to a file, and return the operators with the largest time of their own.

    On an accelerator that is the time of its kernels, else that of the host.
    """
    watch = Profiler(calls, device)
    work.begin(watch)
    try:
        watch.profiler.export_chrome_trace(trace)
    except (OSError, RuntimeError) as error:
        raise RunError(f"{trace}: cannot be written ({error})") from None
    on_host = device.can.host_memory
    own = [
        (event.key, event.count, event.self_cpu_time_total if on_host else event.self_device_time_total)
        for event in watch.profiler.key_averages()
        if event.device_type.name == "CPU"  # operators; a kernel's time is in that of its operator
    ]
    total = sum(time for _, _, time in own) or 1.0
    largest = sorted(own, key=lambda cost: cost[2], reverse=True)[:LARGEST]
    return [
        Cost(name=name, calls=count, seconds=time / 1e6 / calls, share=time / total)
        for name, count, time in largest
        if time > 0
    ]
