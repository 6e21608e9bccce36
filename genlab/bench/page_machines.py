"""The part of a benchmark's page that says what was measured on, machines side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from genlab.bench.result import Result
from genlab.report.page import Content, Html, code, folded, section, table, tag
from genlab.units import bytes_said

Named = tuple[str, Result]


def environments(found: Sequence[Named]) -> Html:
    """Return the environments side by side, a column each."""
    rows: dict[str, list[Content]] = {}
    for index, (_, result) in enumerate(found):
        for key, value in _described(result):
            rows.setdefault(key, [""] * len(found))[index] = value
    lines: list[list[Content]] = [[key, *values] for key, values in rows.items()]
    built = [folded(f"{name}: torch and its threads", _built(result)) for name, result in found]
    return section("Environments", table(["", *(name for name, _ in found)], lines), built)


def _described(result: Result) -> Iterator[tuple[str, Content]]:
    environment = result.environment
    processor, software, before = environment.processor, environment.software, environment.before
    yield "processor", processor.model
    yield (
        "cores",
        f"{processor.physical or '?'} physical, {processor.logical} logical, {len(processor.usable)} usable",
    )
    yield "governor", ", ".join(processor.governors) or "not told"
    yield "virtual", {True: "yes", False: "no", None: "not told"}[processor.virtual]
    yield "memory", f"{environment.memory.total / 2**30:.1f} GiB" if environment.memory.total else "not told"
    limit = environment.container
    held = [f"{limit.cores:g} cores" if limit.cores else "", bytes_said(limit.memory) if limit.memory else ""]
    yield "container limits", ", ".join(filter(None, held)) or "none"
    yield "load before", ", ".join(f"{value:g}" for value in before.load) or "not told"
    yield "system", f"{environment.system.platform} {environment.system.release}"
    yield "python", f"{software.implementation} {software.python}"
    yield "libraries", ", ".join(f"{name} {version}" for name, version in software.libraries.items())
    yield "threads", f"{software.threads}, between operators {software.interop_threads}"
    yield "compiler", software.compiler or "none"
    yield "variables", ", ".join(f"{k}={v}" for k, v in environment.system.variables.items()) or "none"
    for accelerator in environment.accelerators:
        told = [f"driver {accelerator.driver}" if accelerator.driver else ""]
        told += [f"{name} {value}" for name, value in accelerator.settings.items()]
        yield accelerator.device, ", ".join([accelerator.name, *filter(None, told)])
    commit = (
        f", {result.code.commit[:12]}{' with changes' if result.code.dirty else ''}" if result.code.commit else ""
    )
    yield "genlab", f"{result.code.genlab}{commit}"
    yield "plugins", ", ".join(f"{name} {version}" for name, version in result.plugins.items())


def _built(result: Result) -> list[Html]:
    software = result.environment.software
    flags = " ".join(result.environment.processor.flags)
    lines = [*software.torch_config, *software.threading]
    return [tag("pre", tag("code", "\n".join(lines))), tag("p", "processor flags: ", code(flags))]
