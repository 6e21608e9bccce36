"""Recipes torn apart at random: what comes out is a recipe or a message, soon, and never a traceback.

Some seconds in an ordinary run of the suite; for ten minutes::

    FUZZ_SECONDS=600 python -m pytest tests/test_fuzz_recipes.py
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from genlab.errors import GenlabError
from genlab.opening import open_text
from genlab.overrides import parse_overrides
from genlab.source import read_text

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
EXAMPLES = 150  # of each kind, in an ordinary run
LONGEST = 5.0  # seconds of the processor that one recipe may take
ROOT = Path(__file__).parent.parent

SEEDS = [
    *(path.read_text() for path in sorted((ROOT / "recipes").glob("*.yaml"))),
    "extends: bars\nname: wide_${latent}\nlatent: 3\nencoder: {hidden: [8, 8]}\ntrain: {early_stopping: null}\n",
    "extends: [base.yaml, bars]\nname: two\ntrain: {epochs: '${env:EPOCHS,2}', batch_size: \"${data.size}\"}\n",
    "name: anchors\ndata: &d {use: bars, size: 4}\nlatent: 2\nencoder: &m {use: mlp, hidden: [4]}\ndecoder: *m\n"
    "likelihood: {use: gaussian, std: 0.5}\ntrackers: [tensorboard]\n"
    "schedule:\n  use: cosine\n  warmup_steps: 5\n",
]
BASE = "seed: 1\ntrain: {max_steps: 5}\n"

TOKENS = [
    ":", ": ", "- ", "{", "}", "[", "]", ",", "#", "&a ", "*a", "!!int ", "!x ", "|\n", ">\n", "'", '"', "\\",
    "%", "@", "`", "? ", "---\n", "...\n", "<<: ", "\t", "\r", "\n", "\n\n", "  ", "~", "null", "true", ".nan",
    ".inf", "-.inf", "1e400", "9" * 30, "0x1F", "${", "}", "${latent}", "${env:HOME}", "${name}", "$${",
    "extends: ", "use: ", "\0", "\x1b[31m", "\x85", "\u2028", "\u202e", "\ufeff", "é", "日本", "\U0001f600",
    "\ue000",
]  # fmt: skip
HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 0.0, -0.0, 1e308, 5e-324, 0.1, "", " ",
    "a b", "\0", "\x1b[2J", "\u202e", "\ud800", "é" * 300, "x" * 5000, "..", "/", "/dev/zero", "a/b", "mlp",
    "conv", "bars", "mnist_cvae", "base.yaml", "r.yaml", "1e3", "1h30m", "9" * 400 + "s", "val/loss",
    "${latent}", "${train}", "${nothing}", "${env:NOT_SET}", "${env:HOME,3}", "$${x}", "${", [], {}, [[]], [{}],
    {"use": "mlp"}, {"use": None}, {"use": {}}, {"options": {}}, {"": ""}, {"use": "mlp", "hidden": [0]},
    {"a.b": 1}, [1] * 3000, {str(i): i for i in range(200)},
]  # fmt: skip
PLAIN = [
    "mlp",
    "3",
    "0.5",
    "[3, 8]",
    "{use: conv}",
    "null",
    "true",
    "1h",
    "${latent}",
    "{}",
    "[0.9, 0.99]",
    "cosine",
]
KEYS = [
    "name", "data", "data.use", "data.size", "latent", "encoder", "encoder.use", "encoder.hidden",
    "encoder.hidden.0", "prior", "prior.use", "likelihood.std", "objective.beta", "optimizer.lr",
    "optimizer.betas", "schedule", "train", "train.epochs", "train.early_stopping",
    "train.early_stopping.monitor", "train.ema.decay", "train.max_time", "checkpoint.keep", "trackers",
    "trackers.0", "seed", "extends", "description", "nothing", "a.b.c",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(BASE)


def judged(text: str, tokens: list[str]) -> None:
    """Open a recipe that may be anything; fail unless it is a recipe or is refused as it should be."""
    start = time.process_time()
    try:
        opened = open_text(text, Path("r.yaml"), parse_overrides(tokens))
    except GenlabError as error:
        said = str(error)
        assert all(line.isprintable() for line in said.split("\n")), repr(said)
        assert not re.search(
            r"Traceback|pydantic|Input should|validation error|function-", _without_excerpts(said)
        ), said
        assert len(said) < 50_000
        assert said.strip()
    else:
        assert all(origin.isprintable() for origin in opened.origins().values())
        again = open_text(opened.recipe.to_yaml(), Path("again.yaml"))
        assert again.recipe == opened.recipe
    took = time.process_time() - start
    assert took < LONGEST, f"{took:.1f} s"


def _without_excerpts(said: str) -> str:
    return re.sub(r"\n {4}.*\n {4} *\^", "", said)


@st.composite
def torn(draw: st.DrawFn) -> str:
    """The text of a recipe, some characters and lines of it deleted, inserted, replaced, moved."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        how = draw(
            st.sampled_from(["delete", "insert", "replace", "any", "line", "double", "splice", "indent", "cut"])
        )
        if how == "delete":
            text = text[:at] + text[at + draw(st.integers(1, 20)) :]
        elif how == "insert":
            text = text[:at] + draw(st.sampled_from(TOKENS)) + text[at:]
        elif how == "replace":
            text = text[:at] + draw(st.sampled_from(TOKENS)) + text[at + draw(st.integers(1, 5)) :]
        elif how == "any":
            text = text[:at] + draw(st.text(max_size=8)) + text[at:]
        elif how == "cut":
            text = text[:at]
        elif how == "splice":
            other = draw(st.sampled_from(SEEDS))
            text = text[:at] + other[draw(st.integers(0, len(other))) :]
        else:
            lines = text.split("\n")
            i, j = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
            if how == "line":
                lines.insert(j, lines.pop(i))
            elif how == "double":
                lines.insert(j, lines[i])
            else:
                lines[i] = " " * draw(st.integers(0, 6)) + lines[i].lstrip()
            text = "\n".join(lines)
    return text


TREES = [read_text(text, "seed").plain() for text in SEEDS]


@st.composite
def grown(draw: st.DrawFn) -> str:
    """A recipe whose values are hostile, wrapped, nested, renamed or gone, as JSON, which is YAML."""
    tree = json.loads(json.dumps(draw(st.sampled_from(TREES))))
    for _ in range(draw(st.integers(1, 5))):
        slots = _slots(tree)
        holder, key = slots[draw(st.integers(0, len(slots) - 1))]
        how = draw(st.sampled_from(["hostile", "hostile", "wrap", "use", "deep", "rename", "gone", "add"]))
        if how == "hostile":
            holder[key] = deepcopy(draw(st.sampled_from(HOSTILE)))
        elif how == "wrap":
            holder[key] = [holder[key]]
        elif how == "use":
            holder[key] = {"use": holder[key]}
        elif how == "deep":
            for _ in range(draw(st.integers(1, 40))):
                holder[key] = {"base": holder[key]} if draw(st.booleans()) else [holder[key]]
        elif isinstance(holder, dict) and how == "rename":
            holder[draw(st.one_of(st.sampled_from(KEYS), st.text(max_size=10)))] = holder.pop(key)
        elif isinstance(holder, dict) and how == "gone":
            del holder[key]
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from(KEYS))] = deepcopy(draw(st.sampled_from(HOSTILE)))
    return json.dumps(tree, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))


def _slots(tree: Any) -> list[tuple[Any, Any]]:
    """Every place in a tree that holds a value: the mapping or list, and the key or index."""
    found: list[tuple[Any, Any]] = [({"": tree}, "")]
    waiting = [tree]
    while waiting and len(found) < 200:
        value = waiting.pop()
        if isinstance(value, dict | list):
            keys = list(value) if isinstance(value, dict) else range(len(value))
            found += [(value, key) for key in keys]
            waiting += [value[key] for key in keys]
    return found


@st.composite
def set_anew(draw: st.DrawFn) -> list[str]:
    """Overrides: keys that there are, or not, and values as one would type them, or not."""
    hostile = st.one_of(st.sampled_from(HOSTILE).map(_typed), st.sampled_from(TOKENS), st.text(max_size=12))
    tokens = []
    for _ in range(draw(st.integers(1, 3))):
        known, plain = draw(st.integers(0, 5)) > 0, draw(st.integers(0, 2)) > 0  # or else nothing gets far
        key = draw(st.sampled_from(KEYS) if known else st.text(max_size=6))
        tokens.append(f"{key}={draw(st.sampled_from(PLAIN) if plain else hostile)}")
    return tokens


def _typed(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def fuzz(test: Callable[[], None]) -> None:
    """Run a property once, or with other and other seeds for its third of FUZZ_SECONDS."""
    until = time.monotonic() + SECONDS / 3
    test()
    number = 0
    while time.monotonic() < until:
        number += 1
        seed(number)(test)()


once = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=not SECONDS,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


def test_torn_texts() -> None:
    fuzz(once(given(text=torn())(lambda text: judged(text, []))))


def test_hostile_values() -> None:
    fuzz(once(given(text=grown())(lambda text: judged(text, []))))


def test_hostile_overrides() -> None:
    fuzz(once(given(text=st.sampled_from(SEEDS), tokens=set_anew())(judged)))
