"""The page of a run: what it is, how it went, how good, and everything needed to trust and repeat it."""

from __future__ import annotations

import shlex

from genlab.folders import from_here
from genlab.report import numbers, setting
from genlab.report.facts import RunFacts
from genlab.report.page import Content, Html, anchor, code, facts, folded, listing, page, section, tag, together
from genlab.report.pictures import plots
from genlab.report.prose import block
from genlab.report.recipe import recipe
from genlab.tree import Json
from genlab.units import duration


def run_page(run: RunFacts) -> str:
    """Return the page of a run as one HTML document that refers to nothing outside itself."""
    curves = numbers.curves(run)
    # The curves above them are those of the plot "losses".
    pictures = [picture for picture in run.pictures if curves is None or picture.kind != "losses"]
    sections = [
        ("Curves", curves),
        ("Plots", plots(pictures)),
        ("Metrics", numbers.metrics(run)),
        ("Recipe", _recipe(run)),
        ("Layers", setting.layers(run)),
        ("Use it", setting.use(run)),
        ("Make it again", setting.reproduce(run)),
        ("Timing", numbers.timing(run)),
        ("Environment", _environment(run)),
        ("Files", setting.files(run)),
        ("Model card", _card(run)),
        ("Log", _log(run)),
    ]
    there = [(title, content) for title, content in sections if content is not None]
    contents = [tag("a", title, href=f"#{anchor(title)}") for title, _ in there]
    status = run.status
    return page(
        f"{status.name} · {status.status} · genlab",
        tag("header", _title(run), _outcome(run), _figures(run), _summary(run)),
        tag("nav", contents, aria_label="contents"),
        tag("main", [content for _, content in there]),
        tag("footer", "genlab ", run.environment.genlab if run.environment else "", " · ", code(run.path.name)),
    )


def badge(status: str) -> Html:
    """Return a run's status as a coloured word."""
    return tag("span", status, class_=f"badge {status}")


def _title(run: RunFacts) -> Html:
    about = run.resolved.get("description")
    return together(
        tag("h1", tag("span", run.status.name, dir="auto"), " ", badge(run.status.status)),
        tag("p", str(about), class_="lead", dir="auto") if about else None,
    )


def _figures(run: RunFacts) -> Html:
    """Return the handful of numbers that one looks for first."""
    status, env = run.status, run.environment
    pairs: list[tuple[str, Content]] = []
    if "val/loss" in status.best:
        pairs.append(("best val/loss", [tag("b", numbers.number(status.best["val/loss"])), " nats"]))
        at = f"{status.best_epoch} of {run.last.epoch}" if run.last else str(status.best_epoch)
        pairs.append(("after epoch", at))
    latent = run.resolved.get("latent")
    if status.active_units is not None and isinstance(latent, int):
        pairs.append(("latents in use", f"{status.active_units} of {latent}"))
    if run.digest.parameters is not None:
        pairs.append(("parameters", run.digest.parameters))
    if env is not None:
        pairs += [("device", env.device), ("precision, runner", f"{env.precision}, {env.runner}")]
    seconds, speed = run.digest.seconds, run.digest.images_per_second
    if seconds is not None:
        pairs.append(("training", duration(seconds)))
    if speed is not None:
        pairs.append(("images/s", f"{speed:,.0f}"))
    pairs.append(("started", numbers.when(status.started)))
    return facts(pairs, "figures")


def _summary(run: RunFacts) -> Html | None:
    """Say in two sentences what was trained and how it ended."""
    tree, last = run.resolved, run.last
    if not tree:
        return None
    what: list[Content] = [
        "Encoder ", code(_used(tree, "encoder")), ", ", str(tree.get("latent")), " latents, decoder ",
        code(_used(tree, "decoder")), "; prior ", code(_used(tree, "prior")), ", likelihood ",
        code(_used(tree, "likelihood")), ", objective ", code(_used(tree, "objective")), "; on ",
        code(_used(tree, "data")), " with ", code(_used(tree, "optimizer")), ", seed ", str(tree.get("seed")), ".",
    ]  # fmt: skip
    train = tree.get("train")
    most = train.get("epochs") if isinstance(train, dict) else None
    if last is not None:
        done = f" Trained for {last.epoch} of at most {most} epochs, {last.step:,} steps"
        what.append(f"{done}; ended by: {run.status.message}." if run.status.status == "completed" else f"{done}.")
    return tag("p", what, class_="summary")


def _used(tree: object, kind: str) -> str:
    part: Json = tree.get(kind) if isinstance(tree, dict) else None
    return str(part.get("use")) if isinstance(part, dict) else str(part)


def _outcome(run: RunFacts) -> Html | None:
    """Say what happened to a run that is not simply done, what is kept, and how to go on."""
    status, message = run.status.status, run.status.message
    directory = shlex.quote(from_here(run.path))
    if status == "completed" and message != "time limit":
        return None
    what: Content
    if status == "completed":
        what = "Training stopped at its time limit, before it was done."
    elif status == "running":
        what = "This run was under way when this page was written."
    elif status == "died":
        what = (
            f"The process of this run (number {run.status.pid} on {run.status.host}) is gone without having said "
            "why: it was killed, or the machine went down."
        )
    elif status == "damaged":
        what = "The run's status.json is lost or damaged, so how it ended is not known."
    elif status == "interrupted":
        what = "This run was interrupted, by Ctrl-C or by SIGTERM."
    else:
        what = ["This run failed: ", code(message)] if message else "This run failed."
    kept = (
        f"The best model so far, of epoch {run.kept.epoch}, is kept, and is what this page describes."
        if run.kept
        else "It has kept no model."
    )
    lines: list[Content] = [tag("p", what), tag("p", kept)]
    if status == "running":
        lines.append(listing(f"genlab report {directory}{run.same_files}", "command to write this page anew"))
    elif run.can_resume:
        go_on = f"genlab resume {directory}{run.same_files}"
        lines += [tag("p", "To go on from the last checkpoint:"), listing(go_on, "command")]
    else:
        lines.append(tag("p", "No checkpoint was due yet, so it can only be started again."))
    return tag("div", lines, class_=f"outcome {status}", role="note")


def _environment(run: RunFacts) -> Html:
    if run.environment is None:
        return section("Environment", tag("p", "env.json cannot be read."))
    return section("Environment", setting.environment(run.environment))


def _recipe(run: RunFacts) -> Html:
    if not run.resolved:
        return section("Recipe", tag("p", "resolved.yaml cannot be read."))
    written = folded("recipe.yaml, as written", listing(run.written, "recipe.yaml")) if run.written else None
    return section("Recipe", recipe(run.resolved, run.origins), written)


def _card(run: RunFacts) -> Html | None:
    if not run.card:
        return None
    return section(
        "Model card", folded("What is handed on with the model", tag("div", block(run.card), class_="card"))
    )


def _log(run: RunFacts) -> Html | None:
    if not run.log or run.status.status == "completed":
        return None
    return section("Log", listing("\n".join(run.log), "the log's last lines"), about="The last lines of log.txt.")
