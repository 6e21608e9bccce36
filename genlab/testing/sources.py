"""What a data source must do: examples, the same every time."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, get_args

import torch
from torch import Tensor

from genlab.errors import DataError
from genlab.interfaces import DataSource, Examples, SplitName
from genlab.testing import parts
from genlab.testing.checking import Failed, Skipped, Suite, check
from genlab.testing.modules import refused_by
from genlab.testing.subject import PartSubject, seed_all
from genlab.testing.watching import HostWaits, Strays

SPLITS: tuple[SplitName, ...] = get_args(SplitName)
FEW = 3


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


@check("reads_its_splits")
def keeps_its_splits_apart(subject: DataSubject) -> None:
    """val and test are not the training examples over again."""
    train = subject.examples("train").x
    for name in SPLITS[1:]:
        other = subject.examples(name).x
        count = min(len(train), len(other))
        if torch.equal(train[:count], other[:count]) or torch.equal(train[-count:], other[-count:]):
            raise Failed(
                expected=f"{name} examples that are not those of train",
                came=f"the same {count:,}",
                mend="cut the splits from different examples; for drawn data, derive a seed for each",
            )


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
