"""What a plugin adds, as far as its text says it: read, never run, so that a list takes no time and no risk.

``genlab plugins list`` and ``genlab --help`` need no more. What the text does not say plainly (parts registered in
a loop, classes made by functions) is left out, and that something is left out is known.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

INTERFACES = {
    "DataSource": "data",
    "Encoder": "encoder",
    "Decoder": "decoder",
    "Prior": "prior",
    "Likelihood": "likelihood",
    "Objective": "objective",
    "Optimizer": "optimizer",
    "Schedule": "schedule",
    "Tracker": "tracker",
    "Search": "search",
}
"""The names of the interfaces, and the kind of part that a class with such a base is."""

DEEP = 8  # imports and base classes that are followed, one after another

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Command:
    """A command that a plugin adds, and what its docstring says."""

    name: str
    help: str


@dataclass(frozen=True)
class Glance:
    """What a plugin adds. parts: ``encoder:conv``, or ``conv`` if its kind is not plain. recipes: their folder.

    readable: its text was found. whole: the parts and commands are all that there are.
    """

    hooks: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()
    recipes: Path | None = None
    readable: bool = False
    whole: bool = False


def glance(module: str | Path, hooks: Collection[str]) -> Glance:
    """Look at the text of a module, or of a file; hooks: the names of those that it may implement."""
    text = _read(module.stem, module) if isinstance(module, Path) else _find(module)
    if text is None:
        return Glance()
    found = {hook: where for hook in hooks if (where := text.function(hook)) is not None and _is_hook(where[1])}
    parts, all_parts = _parts(*found["genlab_register"]) if "genlab_register" in found else ([], True)
    commands, all_commands = _commands(*found["genlab_commands"]) if "genlab_commands" in found else ([], True)
    recipes = _returned(*found["genlab_recipes"]) if "genlab_recipes" in found else None
    whole = all_parts and all_commands
    return Glance(tuple(found), tuple(parts), tuple(commands), recipes, readable=True, whole=whole)


@dataclass(frozen=True)
class _Text:
    """A module of a plugin: its dotted name, file and what is written in it."""

    name: str
    path: Path
    tree: ast.Module

    @cached_property
    def defined(self) -> dict[str, ast.stmt | tuple[str, str]]:
        """Top-level functions and classes, and, of imported names, module and name."""
        found: dict[str, ast.stmt | tuple[str, str]] = {}
        for node in self.tree.body:
            if isinstance(node, _Function | ast.ClassDef):
                found[node.name] = node
            elif isinstance(node, ast.ImportFrom):
                found |= {a.asname or a.name: (self.absolute(node), a.name) for a in node.names}
        return found

    def absolute(self, node: ast.ImportFrom) -> str:
        """Return the module that an import is from."""
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.path.name == "__init__.py" else self.name.split(".")[:-1]
        return ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])

    def find(self, name: str, depth: int = 0) -> tuple[_Text, ast.stmt] | None:
        """Return where a name of this module is defined, as far as that is in the same package."""
        found = self.defined.get(name)
        if isinstance(found, tuple):
            module, name = found
            same = module.partition(".")[0] == self.name.partition(".")[0]
            other = _find(module) if same and depth < DEEP else None
            return other.find(name, depth + 1) if other else None
        return None if found is None else (self, found)

    def function(self, name: str) -> tuple[_Text, _Function] | None:
        """Return a function of this module, and where it is defined."""
        found = self.find(name)
        return (found[0], found[1]) if found and isinstance(found[1], _Function) else None

    def kind(self, name: str, depth: int = 0) -> str:
        """Return the kind of part that a class is; empty if that is not plain."""
        found = self.find(name)
        if found is None:
            imported = self.defined.get(name)
            module, name = imported if isinstance(imported, tuple) else ("", name)
            return "optimizer" if module.startswith("torch.optim") else INTERFACES.get(name, "")
        text, node = found
        if not isinstance(node, ast.ClassDef) or depth > DEEP:
            return ""
        if text.name == "genlab.interfaces":
            return INTERFACES.get(node.name, "")
        for base in node.bases:
            said = ast.unparse(base)
            if isinstance(base, ast.Name):
                kind = text.kind(said, depth + 1)
            else:
                kind = (
                    "optimizer" if said.startswith("torch.optim.") else INTERFACES.get(said.rpartition(".")[2], "")
                )
            if kind:
                return kind
        return ""


def _find(module: str) -> _Text | None:
    """Return the text of a module without importing it or a package that it is in."""
    top, *rest = module.split(".")
    with suppress(Exception):  # whatever finders of others may raise
        spec = importlib.util.find_spec(top)
        if spec is None:
            return None
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
        files = [Path(spec.origin)] if spec.origin and not rest else []
        if rest:
            where = [folder.joinpath(*rest) for folder in folders]
            files = [file for path in where for file in (path / "__init__.py", path.with_suffix(".py"))]
        for file in files:
            if file.suffix == ".py" and file.is_file():
                return _read(module, file)
    return None


def _read(name: str, file: Path) -> _Text | None:
    with suppress(OSError, ValueError, SyntaxError):
        return _Text(name, file, ast.parse(file.read_bytes()))
    return None


def _is_hook(function: _Function) -> bool:
    return any(ast.unparse(d).partition("(")[0].endswith("hookimpl") for d in function.decorator_list)


def _argument(function: _Function) -> str:
    return function.args.args[0].arg if function.args.args else ""


def _parts(text: _Text, function: _Function) -> tuple[list[str], bool]:
    """Return the parts that a function registers, and whether they are all plain."""
    register, found, whole = _argument(function), [], True
    counted = 0
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id == register:
            counted += 1
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == register):
            continue
        counted -= 1
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        name = _constant(given[0]) if given else ""
        kind = text.kind(given[1].id) if len(given) > 1 and isinstance(given[1], ast.Name) else ""
        if name:
            found.append(f"{kind}:{name}" if kind else name)
        whole = whole and bool(name)
    return found, whole and counted == 0


def _commands(text: _Text, function: _Function) -> tuple[list[Command], bool]:
    """Return the commands that a function adds, and whether they are all plain."""
    app, found = _argument(function), dict[str, Command]()
    uses = sum(isinstance(node, ast.Name) and node.id == app for node in ast.walk(function))
    for call, decorated in _calls(text, function, app):
        uses -= 1
        keywords = {keyword.arg: _constant(keyword.value) for keyword in call.keywords}
        first = call.args[0] if call.args and call.func.attr == "command" else None  # type: ignore[attr-defined]
        name = keywords.get("name") or (_constant(first) if first else "")
        if not name and decorated and not first and "name" not in keywords:
            name = decorated.name.lower().replace("_", "-")
        said = keywords.get("help") or (ast.get_docstring(decorated) if decorated else "") or ""
        if name:
            found[name] = Command(name, said)
        else:
            uses += 1
    return list(found.values()), uses == 0


def _calls(text: _Text, function: _Function, app: str) -> Iterator[tuple[ast.Call, _Function | None]]:
    """Yield each ``app.command(...)`` and ``app.add_typer(...)``, with its function if it has one."""
    seen: set[ast.Call] = set()
    for node in ast.walk(function):
        if isinstance(node, _Function):
            for call in filter(lambda d: _is_call(d, app), node.decorator_list):
                assert isinstance(call, ast.Call)
                seen.add(call)
                yield call, node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Call) and _is_call(node.func, app):
            seen.add(node.func)
            given = node.args[0] if node.args else None
            about = text.function(given.id) if isinstance(given, ast.Name) else None
            yield node.func, about[1] if about else None
        elif isinstance(node, ast.Call) and _is_call(node, app) and node not in seen:
            assert isinstance(node.func, ast.Attribute)
            if node.func.attr == "add_typer":
                yield node, None


def _is_call(node: ast.AST, app: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == app
        and node.func.attr in ("command", "add_typer")
    )


def _returned(text: _Text, function: _Function) -> Path | None:
    """Return the folder that a function returns, if that is plain."""
    last = function.body[-1]
    return _folder(last.value, text.path) if isinstance(last, ast.Return) and last.value else None


def _folder(node: ast.expr, file: Path) -> Path | None:
    """Return what ``Path(__file__).parent / "recipes"`` and the like stand for in a file."""
    match node:
        case ast.Constant(value=str(written)):
            return Path(written)
        case ast.Name(id="__file__"):
            return file
        case ast.Call(func=ast.Name(id="Path"), args=[inner]):
            return _folder(inner, file)
        case ast.Attribute(value=inner, attr="parent"):
            below = _folder(inner, file)
            return below and below.parent
        case ast.BinOp(left=inner, op=ast.Div(), right=ast.Constant(value=str(name))):
            above = _folder(inner, file)
            return above and above / name
    return None


def _constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
