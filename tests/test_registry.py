from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
import torch
from annotated_types import Gt
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.distributions import Distribution

import genlab
from genlab.errors import PluginError
from genlab.interfaces import Examples, SplitName
from genlab.registry import GIVEN, KINDS, Registry
from genlab.wording import suggest

if TYPE_CHECKING:
    from decimal import Decimal


class Data(genlab.DataSource):
    """Two zeros.

    More about them.
    """

    x_shape = (2,)

    def split(self, name: SplitName) -> Examples:
        return Examples(torch.zeros(1, 2))


class Encoder(genlab.Encoder):
    def __init__(self, x_shape: tuple[int, ...], latent: int, *, width: PositiveInt = 8) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Distribution:
        raise NotImplementedError


class Objective(genlab.Objective):
    def forward(self, model: Any, x: Tensor) -> genlab.Terms:
        raise NotImplementedError


def encoder(init: Callable[..., None]) -> type:
    """Make an encoder class with the given ``__init__``."""
    return type("Made", (genlab.Encoder,), {"__init__": init, "forward": Encoder.forward})


def refused(name: Any, cls: Any, registry: Registry | None = None, distribution: str = "dist") -> str:
    registry = registry or Registry()
    before = registry.parts()
    with pytest.raises(PluginError) as caught:
        registry.register(name, cls, distribution)
    assert registry.parts() == before
    return str(caught.value)


def test_the_kind_of_a_part_is_the_interface_it_subclasses() -> None:
    registry = Registry()
    for name, cls in [("a", Objective), ("b", Encoder), ("a", Data)]:
        registry.register(name, cls, "dist")
    assert [(p.kind, p.name) for p in registry.parts()] == [("data", "a"), ("encoder", "b"), ("objective", "a")]
    assert registry.get("encoder", "b").cls is Encoder
    assert registry.get("data", "a").distribution == "dist"


def test_parts_come_in_the_order_of_kinds_and_names() -> None:
    registry = Registry()
    for name in ("zz", "b", "a"):
        registry.register(name, Encoder, "dist")
    registry.register("m", Data, "dist")
    assert [p.name for p in registry.parts()] == ["m", "a", "b", "zz"]
    assert [p.name for p in registry.parts("encoder")] == ["a", "b", "zz"]
    assert registry.parts("prior") == []


def test_every_kind_says_what_its_constructor_is_given() -> None:
    assert GIVEN.keys() == KINDS.keys()


def test_the_summary_is_the_first_line_of_the_docstring() -> None:
    registry = Registry()
    registry.register("zeros", Data, "dist")
    assert registry.get("data", "zeros").summary == "Two zeros."


def test_an_unknown_part_names_the_nearest_and_what_is_installed() -> None:
    registry = Registry()
    registry.register("conv", Encoder, "dist")
    registry.register("mlp", Encoder, "dist")
    with pytest.raises(PluginError, match=r"^unknown encoder 'covn'; did you mean 'conv'\? installed: conv, mlp$"):
        registry.get("encoder", "covn")
    with pytest.raises(PluginError, match=r"^unknown encoder 'MLP'; did you mean 'mlp'\? installed: conv, mlp$"):
        registry.get("encoder", "MLP")
    with pytest.raises(PluginError, match=r"^unknown prior 'conv'; installed: none$"):
        registry.get("prior", "conv")


def test_an_unknown_part_names_every_plugin_that_could_not_be_loaded() -> None:
    registry = Registry()
    registry.remember_failure("one", "ImportError: no x")
    registry.remember_failure("one", "ValueError: no y")
    registry.remember_failure("two", "KeyError: z")
    with pytest.raises(PluginError) as caught:
        registry.get("encoder", "x")
    for cause in ("one could not be loaded: ImportError: no x", "one .*ValueError: no y", "two .*KeyError: z"):
        assert caught.match(cause)


def both(*owners: str) -> Registry:
    registry = Registry()
    for owner in owners:
        registry.register("x", type(f"Of{owner.title()}", (Encoder,), {}), owner)
    return registry


def test_a_name_of_two_plugins_is_an_error_when_it_is_used_and_says_how_to_choose() -> None:
    registry = both("second", "first")
    with pytest.raises(PluginError) as caught:
        registry.get("encoder", "x")
    assert str(caught.value) == (
        "encoder 'x' is brought by 2 plugins: first, second; write use: first:x or use: second:x"
    )
    assert registry.get("encoder", "second:x").cls.__name__ == "OfSecond"
    assert registry.names("encoder") == ["first:x", "second:x"]
    registry.register("x", Data, "second")  # another kind is another name
    assert registry.get("data", "x").cls is Data


def test_a_name_that_genlab_has_is_genlabs() -> None:
    registry = both("a", "genlab", "b")
    assert registry.get("encoder", "x").distribution == "genlab"
    assert registry.get("encoder", "genlab:x").distribution == "genlab"
    assert registry.get("encoder", "b:x").distribution == "b"
    assert registry.names("encoder") == ["a:x", "b:x", "x"]


def test_a_part_may_always_be_named_with_its_distribution() -> None:
    registry = both("dist")
    assert registry.get("encoder", "dist:x") is registry.get("encoder", "x")
    assert registry.names("encoder") == ["x"]
    with pytest.raises(PluginError, match=r"^unknown encoder 'disd:x'; did you mean 'dist:x'\? installed: x$"):
        registry.get("encoder", "disd:x")


def test_a_view_takes_a_bare_name_for_its_owners() -> None:
    registry = both("a", "genlab", "b")
    view = registry.preferring({("encoder", "x"): "b"})
    part = view.get("encoder", "x")
    assert part.distribution == "b"
    assert view.written(part, "x") == "b:x"  # which means the same without the view
    assert registry.preferring({("encoder", "x"): "gone"}).get("encoder", "x").distribution == "genlab"


def test_one_plugin_that_registers_a_name_twice_is_told_the_classes() -> None:
    registry = Registry()
    registry.register("x", Encoder, "dist")
    other = type("Other", (Encoder,), {})
    assert refused("x", other, registry) == (
        "encoder 'x' is registered by dist twice, as Encoder and as Other; rename the part"
    )


@pytest.mark.parametrize("name", ["", "Conv", "1x", "a-b", "a.b", "a b", "_a", "é", "a/b", "a\n", 3, None, ["a"]])
def test_a_part_needs_a_plain_name(name: object) -> None:
    assert refused(name, Encoder) == (
        f"part name {name!r}: lower-case letters, digits and _ are allowed, a letter first"
    )


@pytest.mark.parametrize(
    ("cls", "what"),
    [(int, "class int"), (torch.nn.Linear, "class Linear"), (None, "a NoneType"), (lambda: 0, "a function")],
)
def test_what_is_no_part_is_refused_naming_the_interfaces(cls: object, what: str) -> None:
    message = refused("x", cls)
    assert message.startswith(f"part 'x' is {what}; a subclass of one of DataSource, Encoder, Decoder,")


def test_an_instance_in_place_of_a_class_is_refused() -> None:
    assert "part 'x' is a Data; a subclass" in refused("x", Data())


def test_an_abstract_class_is_refused_naming_what_it_lacks() -> None:
    class Half(genlab.Encoder):
        @abstractmethod
        def helper(self) -> None: ...

    assert refused("x", Half) == "encoder 'x': Half does not implement forward, helper"


# -- the signature ---------------------------------------------------------------------------------------------


def test_a_part_without_a_constructor_has_no_options() -> None:
    registry = Registry()
    registry.register("x", Objective, "dist")
    registry.register("x", Data, "dist")
    assert registry.get("objective", "x").parse({}) == {}
    assert registry.get("data", "x").parse({}) == {}


def test_a_constructor_is_needed_where_the_framework_gives_arguments() -> None:
    cls = type("Bare", (genlab.Encoder,), {"forward": Encoder.forward})
    assert refused("x", cls) == "encoder 'x': Bare has no __init__; it is given (x_shape, latent)"


def test_options_must_be_named_annotated_and_keyword_only() -> None:
    def kwargs(self: Any, x_shape: Any, latent: int, **options: int) -> None: ...
    def args(self: Any, x_shape: Any, latent: int, *options: int) -> None: ...
    def bare(self: Any, x_shape: Any, latent: int, *, width=3) -> None: ...  # type: ignore[no-untyped-def]
    def positional(self: Any, x_shape: Any, latent: int, width: int = 3) -> None: ...
    def too_few(self: Any, x_shape: Any) -> None: ...
    def use(self: Any, x_shape: Any, latent: int, *, use: str = "x") -> None: ...

    assert "takes **options; list its options by name" in refused("x", encoder(kwargs))
    assert "takes *options; list its options by name" in refused("x", encoder(args))
    assert refused("x", encoder(bare)) == "encoder 'x': Made: option 'width' has no annotation"
    assert (
        "takes (x_shape, latent, width) by position, but is given (x_shape, latent); options are keyword-only"
        in (refused("x", encoder(positional)))
    )
    assert "takes (x_shape) by position, but is given (x_shape, latent)" in refused("x", encoder(too_few))
    assert "an option cannot be called 'use'" in refused("x", encoder(use))


def test_torchs_own_optimizer_is_refused_because_its_options_are_positional() -> None:
    assert "options are keyword-only" in refused("sgd", torch.optim.SGD)


def test_an_annotation_that_is_only_imported_for_type_checkers_is_refused_at_registration() -> None:
    def init(self: Any, x_shape: Any, latent: int, *, width: Decimal | None = None) -> None: ...

    assert refused("x", encoder(init)) == (
        "encoder 'x': Made: a recipe cannot hold its options: name 'Decimal' is not defined"
    )


def test_an_annotation_that_no_recipe_can_satisfy_is_refused() -> None:
    def init(self: Any, x_shape: Any, latent: int, *, net: torch.nn.Module | None = None) -> None: ...

    message = refused("x", encoder(init))
    assert "a recipe cannot hold its options" in message
    assert "Module" in message
    assert "arbitrary_types_allowed" not in message


@pytest.mark.parametrize(
    ("annotation", "default", "said"),
    [
        (PositiveInt, 0, "0 given; expected: an integer > 0"),
        (int, None, "null given; expected: an integer"),
        (float, float("inf"), ".inf given; expected: a finite number"),
        (tuple[int, int], (1,), "[1] given; expected: a list of 2, each an integer"),
        (Literal["a", "b"], "c", "'c' given; expected: one of 'a', 'b'"),
    ],
)
def test_a_default_that_its_own_annotation_refuses_is_an_error(annotation: Any, default: Any, said: str) -> None:
    def init(self: Any, x_shape: Any, latent: int, *, width: Any = default) -> None: ...

    init.__annotations__["width"] = annotation
    message = refused("x", encoder(init))
    assert message.startswith("encoder 'x': Made: option 'width' refuses its own default: ")
    assert said in message


@pytest.mark.parametrize(
    "option",
    ["options", "json", "copy", "schema", "model_config", "model_dump", "fields", "_private", "name", "self_"],
)
def test_an_option_may_have_any_name_but_use(option: str, recwarn: pytest.WarningsRecorder) -> None:
    scope: dict[str, Any] = {}
    exec(f"def init(self, x_shape, latent, *, {option}: int = 3) -> None: ...", scope)
    registry = Registry()
    registry.register("x", encoder(scope["init"]), "dist")
    part = registry.get("encoder", "x")
    assert part.parse({}) == {option: 3}
    assert part.parse({option: 4}) == {option: 4}
    assert part.plain({option: 4}) == {option: 4}
    assert not recwarn.list


def test_options_become_the_constructors_types_and_back() -> None:
    def init(
        self: Any,
        x_shape: Any,
        latent: int,
        *,
        sizes: tuple[PositiveInt, ...] = (1,),
        root: Path | None = None,
        rate: Annotated[float, Gt(0)] = 1.0,
        far: Annotated[float, Field(allow_inf_nan=True)] = float("inf"),
    ) -> None: ...

    registry = Registry()
    registry.register("x", encoder(init), "dist")
    part = registry.get("encoder", "x")
    parsed = part.parse({"sizes": [2, 3], "root": "/a", "rate": 1})
    assert parsed == {"sizes": (2, 3), "root": Path("/a"), "rate": 1.0, "far": float("inf")}
    assert isinstance(parsed["rate"], float)
    written = part.plain({"sizes": [2, 3], "root": "/a"})
    assert written == {"sizes": [2, 3], "root": "/a", "rate": 1.0, "far": float("inf")}
    assert part.plain(written) == written


def test_an_option_annotated_with_an_interface_is_a_nested_part() -> None:
    def init(self: Any, x_shape: Any, latent: int, *, base: genlab.Encoder, width: int = 1) -> None: ...

    registry = Registry()
    registry.register("x", encoder(init), "dist")
    part = registry.get("encoder", "x")
    assert part.nested == {"base": "encoder"}
    assert part.defaults == {"width": 1}


# -- registering ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_what_a_failing_block_registered_is_taken_back(error: type[BaseException]) -> None:
    registry = Registry()
    registry.register("kept", Encoder, "dist")

    def block() -> None:
        with registry.registering("dist") as register:
            register("gone", Encoder)
            raise error

    with pytest.raises(error):
        block()
    assert [p.name for p in registry.parts()] == ["kept"]


def test_what_a_block_registered_stays() -> None:
    registry = Registry()
    with registry.registering("dist") as register:
        register("new", Encoder)
    assert registry.get("encoder", "new").distribution == "dist"


def test_a_suggestion_is_made_only_for_a_near_word() -> None:
    assert suggest("chanels", ["kernel", "channels"]) == "did you mean 'channels'? "
    assert suggest("HIDDEN", ["hidden"]) == "did you mean 'hidden'? "
    assert suggest("zzz", ["hidden"]) == ""
    assert suggest("x", []) == ""
