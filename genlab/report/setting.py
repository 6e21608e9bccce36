"""What a run was made of and with: layers, machine, files; how to use it, and how to make it again."""

from __future__ import annotations

import shlex

from genlab.folders import from_here
from genlab.report.facts import RunFacts
from genlab.report.page import Content, Html, code, facts, listing, section, table, tag, together
from genlab.runfiles import Environment
from genlab.units import bytes_said

NO_PYTHON = "One of its parts came from a file, which commands can name; for Python it has to be in a package."


def layers(run: RunFacts) -> Html:
    """Return the table of layers with output shapes and parameters."""
    anatomy = run.anatomy
    if anatomy.obstacle:
        return section("Layers", tag("p", "The layers cannot be listed here: ", code(anatomy.obstacle)))
    rows: list[list[Content]] = [
        [
            [code(layer.path), " ", tag("span", layer.kind, class_="kind")],
            "×".join(map(str, layer.shape)) if layer.shape is not None else "",
            layer.parameters or "",
        ]
        for layer in anatomy.layers
    ]
    return section(
        "Layers",
        table(
            ("layer", "output", "parameters"),
            rows,
            numbers=(1, 2),
            foot=["total", "", anatomy.parameters],
            caption="in the order in which they run; shapes of one example",
        ),
    )


def environment(env: Environment) -> Html:
    """Return the machine, the versions and the settings that a run was done with."""
    runner = env.runner
    measured = "; ".join(f"{name}: {figure}" for name, figure in env.runner_figures.items())
    pairs: list[tuple[str, Content]] = [
        ("device", env.device),
        ("precision", env.precision),
        ("runner", f"{runner} (measured: {measured})" if measured else runner),
        ("deterministic", "yes" if env.deterministic else "no"),
        ("threads", f"{env.threads} of {env.cpus} processors"),
        ("system", env.platform),
        ("Python", env.python),
        ("genlab", env.genlab),
    ]
    tables = [
        table(("library", "version"), sorted(env.libraries.items()), caption="libraries"),
        table(("plugin", "version"), sorted(env.plugins.items()), caption="plugins installed"),
    ]
    return together(facts(pairs), tag("div", tables, class_="beside"))


def files(run: RunFacts) -> Html:
    """Return the run's files with their sizes."""
    rows: list[list[Content]] = [[code(file.path), bytes_said(file.size)] for file in run.files]
    total = bytes_said(sum(file.size for file in run.files))
    return section(
        "Files",
        table(("file", "size"), rows, numbers=(1,), foot=["total", total], caption="in the run directory"),
        about=code(from_here(run.path)),
    )


def use(run: RunFacts) -> Html | None:
    """Return how to load the model that was kept; None if none was."""
    if run.kept is None:
        return None
    latent, folder = run.resolved.get("latent"), from_here(run.path)
    newest = f", or {run.status.name!r}: the newest completed run" if run.status.status == "completed" else ""
    python = [
        "import genlab",
        "",
        f"model = genlab.load({folder!r})  # this run{newest}",
        "x = model.sample(16, seed=0)",
        f"z = model.encode(x)  # (16, {latent}) posterior means",
        "nats = model.log_prob(x, k=100)  # (16,) estimates of log p(x)",
    ]
    ref, same = shlex.quote(folder), run.same_files
    shell = [f"genlab sample {ref} -n 16 -o samples.png", f"genlab eval {ref}", f"genlab plot all {ref}"]
    return section(
        "Use it",
        listing("\n".join(python), "Python") if not same else tag("p", NO_PYTHON),
        listing("\n".join(f"{line}{same}" for line in shell), "commands"),
    )


def reproduce(run: RunFacts) -> Html:
    """Return the commands that make the run again, and the versions that it was made with."""
    env = run.environment
    again = f"genlab run {shlex.quote(from_here(run.path / 'resolved.yaml'))}{run.same_files}"
    if env is None:
        return section("Make it again", listing(again, "command"))
    return section(
        "Make it again",
        tag("p", "As it was made:"),
        listing(env.command, "the command of this run"),
        tag("p", "From its resolved recipe, whatever has become of the file since, on the same kind of device:"),
        listing(f"{again} --device {shlex.quote(env.on)}", "the command from the resolved recipe"),
        tag("p", "With the versions that it was made with:"),
        listing(f"pip install {' '.join(pins(env))}", "versions"),
        tag(
            "p",
            "The same device, versions and number of threads give the same bytes on a CPU; a GPU needs ",
            code("train.deterministic=true"),
            " for that, when the run is first made.",
            class_="about",
        ),
    )


def pins(env: Environment) -> list[str]:
    """Return requirements of exact versions; a local part such as ``+cpu`` is left to the index in use."""
    versions = env.plugins | env.libraries
    return [
        shlex.quote(f"{name}=={version.partition('+')[0]}")
        for name, version in versions.items()
        if version[:1].isdigit()
    ]
