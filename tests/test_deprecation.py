from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest

import genlab
from genlab.api import API_VERSION, Version, check, declared
from genlab.deprecation import Deprecation, GenlabDeprecationWarning, deprecated
from genlab.errors import PluginError
from genlab.hooks import Hooks, hookimpl, hooks_of, hookspec, since


@deprecated(since="1.1", gone="1.2", instead="new(x)")
def old(x: int) -> int:
    """Return x."""
    return x


def test_what_is_to_go_warns_whoever_calls_it() -> None:
    with pytest.warns(GenlabDeprecationWarning) as caught:
        assert old(3) == 3
    (warning,) = caught
    assert str(warning.message) == (
        "old() is deprecated since API 1.1 of genlab and goes with API 1.2; write new(x)"
    )
    assert warning.filename == __file__
    assert old.__doc__ == "Return x."


def test_a_note_warns_the_code_that_many_calls_up_uses_it() -> None:
    note = Deprecation("the option 'width'", "1.1", "2.0", "'hidden'")

    def library() -> None:
        note.warn()

    with pytest.warns(GenlabDeprecationWarning, match="the option 'width' is deprecated") as caught:
        library()
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it is one, and filtered as one
        library()


@pytest.mark.parametrize(("since_", "gone"), [("1.1", "1.1"), ("1.2", "1.1"), ("2.0", "1.9")])
def test_nothing_goes_without_a_version_that_warned(since_: str, gone: str) -> None:
    with pytest.raises(ValueError, match="at least one version must warn"):
        Deprecation("x", since_, gone, "y")


def test_versions_compare_as_numbers() -> None:
    assert Version.of("1.10") > Version.of("1.9")
    assert str(Version.of("1.10")) == "1.10"
    for text in ("1", "1.0.0", "v1.0", "1.0 ", "", "١.٠", "-1.0"):
        with pytest.raises(ValueError, match=r"MAJOR\.MINOR is expected"):
            Version.of(text)


def test_a_plugin_that_declares_nothing_is_taken_for_the_first_version() -> None:
    assert declared(SimpleNamespace()) == Version(1, 0)
    assert genlab.API_VERSION == API_VERSION
    assert check(SimpleNamespace(GENLAB_API=API_VERSION), "dist", "0.1.0") == Version.of(API_VERSION)


class Later(Hooks):
    """The hooks of a later version of the API."""

    @hookspec
    @since("1.1")
    def genlab_reports(self, page: object) -> None:
        """Add to a report."""


class Uses:
    """A plugin."""

    @hookimpl
    def genlab_reports(self, page: object) -> None:
        """Add nothing."""


class Declares(Uses):
    """A plugin that says what it needs."""

    GENLAB_API = "1.1"


def test_a_plugin_that_uses_a_newer_hook_must_say_so() -> None:
    with pytest.raises(PluginError) as caught:
        hooks_of(Uses(), "x", Later)
    assert str(caught.value) == (
        "it implements genlab_reports, which came with API 1.1, but says that API 1.0 is enough; "
        'write GENLAB_API = "1.1" in it'
    )
    assert hooks_of(Declares(), "x", Later).genlab_reports(page=None) == []
