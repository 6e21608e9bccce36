"""``genlab plugins``: what is installed, and what could not be loaded."""

from __future__ import annotations

import typer

app = typer.Typer(
    help="List plugins and find out what is wrong with one.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_plugins() -> None:
    """List installed plugins and the parts that each brings.

    Example: genlab plugins list
    """
    from genlab.plugins import installed

    plugins = installed()
    for distribution, version in plugins.distributions:
        parts = [f"{p.kind}:{p.name}" for p in plugins.registry.parts() if p.distribution == distribution]
        typer.echo(f"{distribution} {version}: {', '.join(parts) or 'no parts'}")
    for failure in plugins.failures:
        typer.echo(f"{failure.distribution}: could not be loaded: {failure.cause}", err=True)


@app.command()
def doctor() -> None:
    """Show the plugins that could not be loaded, and why.

    Exit code 1 if there is one.

    Example: genlab plugins doctor
    """
    from genlab.plugins import installed

    plugins = installed()
    for failure in plugins.failures:
        typer.echo(f"{failure.distribution}, entry point {failure.entry_point}: {failure.cause}\n")
        typer.echo(failure.traceback)
    typer.echo(f"{len(plugins.distributions)} plugins loaded, {len(plugins.failures)} failed")
    if plugins.failures:
        raise typer.Exit(1)
