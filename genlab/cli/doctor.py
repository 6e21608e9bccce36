"""``genlab doctor``: is everything here in order? The page that a bug report needs."""

from __future__ import annotations

from dataclasses import asdict

import typer

from genlab.cli.arguments import AsJson


def command(context: typer.Context, json: AsJson = False) -> None:
    """Look at this installation and machine, for a bug report.

    Versions, devices, plugins, data sets, folders, terminal and environment variables, one line each. Nothing is
    fetched or changed. Exit code 1 if there is a problem.

    Example: genlab doctor --json
    """
    from genlab.cli import added
    from genlab.cli.tables import listing
    from genlab.entries import damaged
    from genlab.health import Finding, examine
    from genlab.units import as_json, counted

    remedy = "`genlab plugins doctor` shows where"
    findings = examine()
    failed = {f.about.removeprefix("plugin ") for f in findings if f.level == "problem"}
    if not any(damaged()):  # which keep plugins from being imported
        findings += [
            Finding(f"plugin {one.distribution}", one.cause, "problem", remedy) for one in added.examine(failed)
        ]
        findings += [
            Finding(f"command {clash.name}", str(clash), "ok" if clash.hidden else "warning")
            for clash in added.command_clashes(context)
        ]
    counts = {level: sum(f.level == level for f in findings) for level in ("problem", "warning")}
    if json:
        typer.echo(as_json([asdict(finding) for finding in findings]))
    else:
        rows: list[tuple[str, ...]] = []
        for finding in findings:
            rows.append((finding.level, finding.about, finding.found))
            if finding.remedy:
                rows.append(("", "", f"-> {finding.remedy}"))
        typer.echo(listing(("", "what", "found"), rows))
        said = [counted(count, level) for level, count in counts.items() if count]
        typer.echo(f"\n{', '.join(said) or 'nothing is wrong'}")
    if counts["problem"]:
        raise typer.Exit(1)
