"""What a data source must do: examples, the same every time."""

from __future__ import annotations

import hashlib
import math
import os
import sys
from functools import cached_property
from typing import ClassVar, get_args

import torch
from pydantic import JsonValue
from torch import Tensor

from genlab.errors import DataError
from genlab.interfaces import DataSource, Examples, SplitName
from genlab.testing import parts
from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.modules import refused_by
from genlab.testing.processes import printed
from genlab.testing.subject import PartSubject, random_states, seed_all
from genlab.testing.watching import HostWaits, Strays

SPLITS: tuple[SplitName, ...] = get_args(SplitName)
FEW = 3
ELEMENTS = 256  # of an example, by which it is known
PIECE = 1000  # examples at once
SIGMAS = 4
ALIKE = 0.05  # share of examples that may be in two splits of data that hold none twice


class DataSubject(PartSubject):
    """A data source under test. Checks that read it are skipped where its files are not on this machine."""

    kind: ClassVar[str] = "data"

    def source(self, seed: int = 0) -> DataSource:
        """Build it."""
        source: DataSource = self.build(seed=seed)
        return source

    @cached_property
    def there(self) -> DataSource:
        """The source, its data on this machine; nothing is fetched to see that."""
        source = self.source()
        try:
            source.verify()
        except DataError as error:
            raise Skipped(f"its data are not here: {str(error).partition(chr(10))[0]}") from None
        return source

    @cached_property
    def splits(self) -> dict[SplitName, Examples]:
        """Every split, read once."""
        return {name: self.there.split(name) for name in SPLITS}

    def examples(self, name: SplitName = "train") -> Examples:
        """Return a split."""
        return self.splits[name]

    def few(self) -> Tensor:
        """Return three examples as they are stored."""
        return self.examples().x[:FEW].clone()


@check()
def builds(subject: DataSubject) -> None:
    """It can be built, and knows the shape of its examples before any file is read."""
    source = subject.source()
    shape = getattr(source, "x_shape", None)
    if not isinstance(shape, tuple) or not shape or not all(type(n) is int and n > 0 for n in shape):
        raise Failed(
            expected="x_shape, a tuple of positive integers",
            came=repr(shape),
            mend="set self.x_shape in __init__, (1, 28, 28) for example; models are built for it",
        )


@check("builds")
def reads_its_splits(subject: DataSubject) -> None:
    """train, val and test have examples of x_shape, finite, uint8 or float32."""
    source = subject.there
    for name in SPLITS:
        try:
            examples: object = source.split(name)
        except Exception as error:
            came = refused_by(error)
        else:
            came = _wrong(examples, source.x_shape)
        if came:
            raise Failed(
                expected=f"genlab.Examples of shape {('N', *source.x_shape)}, N > 0, finite, in split {name!r}",
                came=came,
                mend="return Examples(x, label) for each of 'train', 'val' and 'test'",
            )


def _wrong(examples: object, x_shape: tuple[int, ...]) -> str:
    """Say what is wrong with a split; nothing if it is as it should be."""
    if not isinstance(examples, Examples):
        return type(examples).__name__
    if len(examples) == 0 or tuple(examples.x.shape[1:]) != x_shape:
        return f"x of shape {tuple(examples.x.shape)}"
    return "" if examples.x.isfinite().all() else "a value that is not finite"


@check("reads_its_splits")
def gives_the_same_every_time(subject: DataSubject) -> None:
    """A split has the same examples in the same order each time, whatever was drawn before.

    The order of an epoch is a function of the seed and the epoch alone; that of the source must stay.
    """
    for name in SPLITS:
        found = []
        for seed in (1, 2):
            source = subject.source(seed)
            seed_all(seed)
            examples = source.split(name)
            found.append([examples.x, *([] if examples.label is None else [examples.label])])
        if len(found[0]) != len(found[1]) or not all(torch.equal(a, b) for a, b in zip(*found, strict=True)):
            raise Failed(
                expected=f"the same {name} examples from two sources",
                came="others, or another order",
                mend="sort what a folder lists, and draw from a generator with a seed of the source's own: "
                "torch.Generator().manual_seed(self.seed)",
            )


@check("gives_the_same_every_time")
def gives_the_same_in_every_process(subject: DataSubject) -> None:
    """A split has the same examples in another process, in which texts have other hashes.

    A run is resumed in another process. Needs a class that can be imported.
    """
    module, name = subject.cls.__module__, subject.cls.__qualname__
    if module == "__main__" or getattr(sys.modules.get(module), name, None) is not subject.cls:
        raise Skipped(f"{name} is no class of a module that can be imported anew")
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    there = printed(
        f"from {__name__} import digest; from {module} import {name}; print(digest({name}, {subject.options!r}))",
        PYTHONHASHSEED=other,
    )
    if there != digest(subject.cls, subject.options):
        raise Failed(
            expected="the same examples in another process",
            came="others, or another order",
            mend="derive the seed of each split from numbers, and sort what a set holds: Python's hash() of a "
            "text is another in each process, and so is the order of a set of texts",
        )


def digest(cls: type, options: dict[str, JsonValue]) -> str:
    """Return what tells one source's examples from another's."""
    splits = DataSubject(cls, **options).splits.values()
    return hashlib.sha256(b"".join(numbered(each.x).numpy().tobytes() for each in splits)).hexdigest()


@check("reads_its_splits")
def leaves_the_seed_alone(subject: DataSubject) -> None:
    """split() does not set the random state of torch, numpy or Python.

    A seed set in it makes every run alike behind its back, whatever the recipe's seed is.
    """
    for split in SPLITS:
        states = []
        for seed in (1, 2):
            source = subject.source(seed)
            seed_all(seed)
            source.split(split)
            states.append(random_states())
        if alike := [name for name, state in states[0].items() if state == states[1][name]]:
            raise Failed(
                expected=f"that {alike[0]}'s random state still depends on the seed set before",
                came=f"the same state from seeds 1 and 2 after split({split!r})",
                mend="take manual_seed() out; draw from torch.Generator().manual_seed(self.seed)",
            )


@check("gives_the_same_every_time")
def keeps_its_splits_apart(subject: DataSubject) -> None:
    """val and test are not made of training examples, in whatever order, nor each of some of the other's.

    Some may be: as many as occur twice in one split, and a twentieth more. val may be test, whole, where a source
    holds nothing out. An example is known by its elements, by 256 of them where there are more.
    """
    rows = {name: numbered(subject.examples(name).x) for name in SPLITS}
    pairs: tuple[tuple[SplitName, SplitName], ...] = (("train", "val"), ("train", "test"), ("test", "val"))
    for one, name in pairs:
        first, second = rows[one], rows[name]
        same = torch.equal(first, second)
        if same and one == "test":
            continue
        shared, allowed = torch.isin(second, first).double().mean().item(), _by_chance(first, second)
        if same or shared > allowed:
            raise Failed(
                expected=f"{name} examples of which at most {min(allowed, 1.0):.0%} are among those of {one}",
                came=f"{shared:.0%} of {len(second):,}",
                mend="cut the splits from different examples; for drawn data, derive a seed for each",
            )


def numbered(x: Tensor) -> Tensor:
    """Return a number for each example, the same for those that are the same: ``(N,)`` int64."""
    flat = x.flatten(1)
    count = min(ELEMENTS, flat.shape[1])
    looked_at = torch.arange(count) * flat.shape[1] // count
    weights = torch.randint(-(2**62), 2**62, (count,), generator=torch.Generator().manual_seed(0))
    pieces = (piece[:, looked_at].float().view(torch.int32).long() for piece in flat.split(PIECE))
    return torch.cat([(piece * weights).sum(1) for piece in pieces])


def _by_chance(first: Tensor, second: Tensor) -> float:
    """Return the highest share of examples that two splits of honest data have in common."""
    share = max(map(_twice, (first, second)))
    return share + ALIKE + SIGMAS * math.sqrt(share * (1 - share) * (1 / len(first) + 1 / len(second)))


def _twice(rows: Tensor) -> float:
    """Return the share of examples that a split holds more than once, as it may be in general (Laplace's rule)."""
    _, which, counts = rows.unique(return_inverse=True, return_counts=True)
    return float((counts[which] > 1).sum().item() + 1) / (len(rows) + 2)


@check("reads_its_splits")
def labels_its_examples(subject: DataSubject) -> None:
    """Labels, where there are any, are 0 or more, in every split.

    They colour the plots of the latent plane.
    """
    labels = {name: subject.examples(name).label for name in SPLITS}
    there = [name for name, label in labels.items() if label is not None]
    low = min((int(label.min()) for label in labels.values() if label is not None), default=0)
    if len(there) not in (0, len(SPLITS)) or low < 0:
        raise Failed(
            expected="class labels from 0 on, in every split or in none",
            came=f"labels in {', '.join(there)}" if len(there) < len(SPLITS) else f"a label {low}",
            mend="number the classes from 0; pass None in every split where they are not known",
        )


@check("reads_its_splits")
def prepares_float32(subject: DataSubject) -> None:
    """prepare() turns stored examples into finite float32 of the same shape.

    A model sees what it returns; each batch goes through it on the device.
    """
    x = subject.few()
    prepared = subject.there.prepare(x)
    if prepared.dtype != torch.float32 or prepared.shape != x.shape or not prepared.isfinite().all():
        raise Failed(
            expected=f"finite float32 of shape {tuple(x.shape)}",
            came=f"{prepared.dtype} of shape {tuple(prepared.shape)}",
            mend="x.float() / 255 for bytes; do what changes shapes in split",
        )


@check("prepares_float32")
def prepares_each_example_alone(subject: DataSubject) -> None:
    """prepare() does to an example the same whatever else is in the batch, every time."""
    source, x = subject.there, subject.few()
    whole = source.prepare(x.clone())
    alone = torch.cat([source.prepare(x[i : i + 1].clone()) for i in range(len(x))])
    if not torch.equal(whole, alone):
        raise Failed(
            expected="the same numbers for an example alone and in a batch",
            came=f"numbers that differ by up to {(whole - alone).abs().max().item():.3g}",
            mend="take means and noise out of prepare; compute them once, in split, from the training examples",
        )


@check("prepares_float32")
def leaves_stored_examples_alone(subject: DataSubject) -> None:
    """prepare() does not change what it is given."""
    x = subject.few()
    before = x.clone()
    subject.there.prepare(x)
    if not torch.equal(x, before):
        raise Failed(
            expected="stored examples that have not changed",
            came="other values in the tensor that prepare() was given",
            mend="replace in-place operations (x.div_(255)) by others (x / 255)",
        )


@check("prepares_float32", "leaves_stored_examples_alone")
def prepares_on_any_device(subject: DataSubject) -> None:
    """prepare() works where the batch lies, and does not make the host wait.

    torch's meta device stands for an accelerator.
    """
    x = subject.few()
    with HostWaits() as watch:
        subject.there.prepare(x)
    with Strays() as strays:
        try:
            prepared = subject.there.prepare(x.to("meta"))
            stayed = [] if prepared.is_meta else [f"a result on {prepared.device}"]
        except (RuntimeError, NotImplementedError) as error:
            stayed = [refused_by(error)]
    found = watch.found + strays.found + stayed
    if found:
        raise Failed(
            expected="a prepared batch where the batch lies, without waiting",
            came="; ".join(found[:3]),
            mend="use x.device for new tensors, plain numbers for constants, and no .item() or masks",
        )


@check("reads_its_splits")
def says_where_it_is_from(subject: DataSubject) -> None:
    """`origin`, fetch() and verify() say in one line where the examples lie and how they came there.

    `genlab data` and reports show it.
    """
    source = subject.there
    for name, said in {"origin": source.origin, "fetch()": source.fetch(), "verify()": source.verify()}.items():
        if not isinstance(said, str) or not said.strip() or "\n" in said:
            raise Failed(
                expected=f"one line of text from {name}",
                came=repr(said),
                mend="return a path and where it was fetched from, or how the examples are made",
            )


CHECKS = (
    parts.registers,
    parts.says_what_it_is,
    builds,
    reads_its_splits,
    gives_the_same_every_time,
    gives_the_same_in_every_process,
    leaves_the_seed_alone,
    keeps_its_splits_apart,
    labels_its_examples,
    prepares_float32,
    prepares_each_example_alone,
    leaves_stored_examples_alone,
    prepares_on_any_device,
    says_where_it_is_from,
    parts.options_survive_a_recipe,
    parts.schema_accepts_its_options,
)
DATA = Suite("data", DataSubject, CHECKS)
