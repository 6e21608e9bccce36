"""Distributions that look installed: each a module, entry points and metadata of its own, found as any other."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from textwrap import dedent

from genlab.cli import added
from genlab.plugins import Plugins, _loaded, load

PART = """
import genlab

class Made(genlab.Encoder):
    '''An encoder.'''
    def __init__(self, x_shape, latent, *, width: int = 1):
        super().__init__()
        import math, torch
        self.net = torch.nn.Linear(math.prod(x_shape), 2 * latent)
    def forward(self, x):
        mean, log_var = self.net(x.flatten(1)).chunk(2, dim=-1)
        return genlab.diagonal_normal(mean, log_var)
"""

REGISTER = (
    PART
    + """
@genlab.hookimpl
def genlab_register(register):
    register("{name}", Made)
"""
)

COMMAND = """
import genlab

@genlab.hookimpl
def genlab_commands(app):
    @app.command("{name}")
    def hello(who: str = "you") -> None:
        '''Say hello.

        Example: genlab {name}
        '''
        print("hello", who)
"""


class Site:
    """A folder on the path of imports. Whatever remembers what is installed forgets it when this changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entry_points: list[metadata.EntryPoint] = []

    def add(
        self, dist: str, code: str, *, module: str | None = None, version: str = "1.2", summary: str = ""
    ) -> None:
        """Install a distribution, or one more module of it."""
        module = module or dist.replace("-", "_")
        (self.folder / f"{module}.py").write_text(dedent(code))
        info = self.folder / f"{dist.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        about = f"Summary: {summary}\n" if summary else ""
        if not (info / "METADATA").exists():
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\n{about}")
        with (info / "entry_points.txt").open("a") as stream:
            stream.write(f"[genlab]\n{module} = {module}\n" if stream.tell() == 0 else f"{module} = {module}\n")
        entry_point = metadata.EntryPoint(module, module, "genlab")
        vars(entry_point).update(dist=metadata.PathDistribution(info))
        self.entry_points.append(entry_point)
        forget()

    def load(self) -> Plugins:
        """Load these and genlab's own parts, and nothing else that is installed."""
        builtin = [e for e in metadata.entry_points(group="genlab") if e.value == "genlab.parts"]
        return load([*self.entry_points, *builtin])


def forget() -> None:
    """Forget which plugins there are."""
    _loaded.cache_clear()
    added._found.cache_clear()
