"""What a person sees who gets a recipe wrong: one message with place and remedy, exit code 2, no traceback."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from genlab.cli import main
from genlab.interfaces import Encoder
from genlab.parts.encoders import MLPEncoder
from genlab.plugins import installed

GOOD = """\
name: bars
data: {use: bars, size: 4, examples: 200}
latent: 2
encoder: {use: mlp, hidden: [16]}
decoder: {use: mlp, hidden: [16]}
likelihood: bernoulli
train: {epochs: 2, batch_size: 32}
"""

TOP = (
    "extends, name, description, data, latent, encoder, decoder, prior, likelihood, objective, optimizer, "
    "schedule, train, checkpoint, trackers, seed"
)

Refused = Callable[..., str]


class Wrapper(MLPEncoder):
    """An encoder with a nested part."""

    def __init__(self, x_shape: tuple[int, ...], latent: int, *, base: Encoder) -> None:
        super().__init__(x_shape, latent)


@pytest.fixture(autouse=True)
def wrapper(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = installed().registry
    own = {(part.kind, part.name): part for part in registry.parts() if part.distribution == "genlab"}
    monkeypatch.setattr(registry, "_parts", own)  # so that messages do not depend on what else is installed
    registry.register("wrapper", Wrapper, "tests")


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a recipe that must be refused and return what is said."""
    monkeypatch.chdir(tmp_path)

    def run(text: str | bytes | None, *overrides: str, path: str = "r.yaml") -> str:
        if text is not None:
            Path("r.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(SystemExit) as ended:
            main(["run", path, *overrides, "--device", "cpu"])
        assert ended.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: ")
        assert not re.search(r"Traceback|pydantic|Input should|validation error|type=|function-", said.err)
        assert not Path("runs").exists()
        assert not (tmp_path / "runs").exists()
        message = said.err.removeprefix("error: ").removesuffix("\n")
        return re.sub(r"\n {4}.*\n {4} *\^", "", message)  # the line with the caret: test_wrong_recipes.py

    return run


def test_the_good_recipe_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(GOOD)
    with pytest.raises(SystemExit) as ended:
        main(["run", str(path), "train.epochs=1", "--device", "cpu", "-q"])
    assert ended.value.code == 0
    assert capsys.readouterr().out


# -- files -----------------------------------------------------------------------------------------------------


def test_a_missing_recipe(refused: Refused) -> None:
    assert refused(GOOD, path="nope.yaml") == "nope.yaml: no such file; in .: r.yaml"


def test_a_folder_as_recipe(refused: Refused) -> None:
    assert refused(GOOD, path=".") == ".: a folder; a recipe is one YAML file; in .: r.yaml"


def test_a_device_as_recipe(refused: Refused) -> None:
    assert refused(None, path="/dev/zero") == "/dev/zero: not a regular file; a recipe is one YAML file"


def test_an_unreadable_recipe(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def forbidden(self: Path, *args: str, **kwargs: str) -> object:
        if self.name == "r.yaml" and args == ("rb",):
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **kwargs)  # type: ignore[call-overload]

    Path("r.yaml").write_text(GOOD)
    monkeypatch.setattr(Path, "open", forbidden)
    assert refused(None) == "r.yaml: cannot be read (Permission denied)"


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "~\n"])
def test_an_empty_recipe(text: str, refused: Refused) -> None:
    assert refused(text).endswith("the recipe is empty; `key: value` lines are expected, `name:` first")


@pytest.mark.parametrize("text", ["- name: bars\n", "just words\n", "3\n", "[]\n"])
def test_a_recipe_that_is_no_mapping(text: str, refused: Refused) -> None:
    assert (
        refused(text) == "r.yaml:1:1: the recipe is not a mapping; `key: value` lines are expected, `name:` first"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "\0", "r.yaml:8:1: character U+0000 is not allowed; a recipe is plain text"),
        (GOOD.encode() + b"description: \xe9\n", "r.yaml:8:14: not UTF-8 text; save the file as UTF-8"),
        (GOOD.encode("utf-16"), "r.yaml:1:1: not UTF-8 text; save the file as UTF-8"),
        (GOOD + "\tseed: 1\n", "use spaces, not tabs"),
        (GOOD + "latent: 3\n", "r.yaml:8:1: key 'latent' appears twice; first at r.yaml:3:1"),
        (GOOD + "seed: !!python/name:os.system\n", "r.yaml:8:7: tag tag:yaml.org,2002:python/name:os.system is "
         "not"),
        (GOOD + "---\nname: x\n", "r.yaml:8:1: a second document; a recipe is one document"),
        (GOOD + "seed: &s [*s]\n", "r.yaml:8:11: alias *s has no finished value &s before it"),
        (GOOD + "seed: [1\n", "r.yaml:8:7: not YAML: "),
    ],
)  # fmt: skip
def test_a_broken_file(text: str | bytes, message: str, refused: Refused) -> None:
    assert message in refused(text)


# -- keys and parts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("latent: 2", "latnet: 2", f"r.yaml:3:1: latnet: unknown option; did you mean 'latent'? allowed: {TOP}"),
        ("hidden", "hiden", "r.yaml:4:21: encoder.hiden: unknown option; did you mean 'hidden'? allowed: hidden"),
        ("epochs", "epoch", "r.yaml:7:9: train.epoch: unknown option; did you mean 'epochs'? allowed: epochs, "
         "max_steps, max_time, batch_size, accumulate, eval_batch_size, eval_every_epochs, eval_every_steps, "
         "precision, runner, clip_norm, ema, early_stopping, deterministic, data, workers"),
        ("encoder: {use: mlp", "encoder: {use: mpl", "r.yaml:4:11: encoder: unknown encoder 'mpl'; did you mean "
         "'mlp'? installed: mlp, wrapper"),
        ("likelihood: bernoulli", "likelihood: Bernoulli", "r.yaml:6:1: likelihood: unknown likelihood "
         "'Bernoulli'; "
         "did you mean 'bernoulli'? installed: bernoulli, gaussian"),
        ("likelihood: bernoulli", "likelihood: os.system",
         "r.yaml:6:1: likelihood: unknown likelihood 'os.system'; installed: bernoulli, gaussian"),
        ("likelihood: bernoulli\n", "", "r.yaml:1:1: likelihood: required, but not given (p(x|z)); installed: "
         "bernoulli, gaussian"),
        ("latent: 2\n", "", "r.yaml:1:1: latent: required, but not given (Z, the size of a latent); expected: an "
         "integer > 0"),
    ],
)  # fmt: skip
def test_a_wrong_or_missing_key_or_part(before: str, after: str, message: str, refused: Refused) -> None:
    assert message in refused(GOOD.replace(before, after, 1)).split("\n")


@pytest.mark.parametrize("key", ["1", "true", "null", "~", "1.5", "2001-01-01"])
def test_a_key_that_is_no_word(key: str, refused: Refused) -> None:
    assert refused(f"{GOOD}{key}: {{seed: 3}}\n") == f"r.yaml:8:1: {key}: unknown option; allowed: {TOP}"


def test_an_unprintable_key_cannot_write_to_the_terminal(refused: Refused) -> None:
    message = refused(GOOD + '"\\u202e": 1\n')
    assert message.startswith("r.yaml:8:1: '\\u202e': unknown option")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("", "4:1: encoder: null given; a name or {use: name, option: value} is expected; installed: mlp, "
         "wrapper"),
        ("3", "4:1: encoder: 3 given; a name or {use: name, option: value} is expected; installed: mlp, wrapper"),
        ("[mlp]", "4:1: encoder: ['mlp'] given; a name or {use: name, option: value} is expected; installed: mlp, "
         "wrapper"),
        ("{}", "4:1: encoder: `use: name`, which says which encoder, is missing; installed: mlp, wrapper"),
        ("{hidden: [3]}", "4:1: encoder: `use: name`, which says which encoder, is missing; installed: mlp, "
         "wrapper"),
        ("{options: {}}", "4:1: encoder: `use: name`, which says which encoder, is missing; installed: mlp, "
         "wrapper"),
        ("{use: }", "4:11: encoder.use: null given; the name of a part is expected; installed: mlp, wrapper"),
        ("{use: 3}", "4:11: encoder.use: 3 given; the name of a part is expected; installed: mlp, wrapper"),
        ("{use: [mlp]}", "4:11: encoder.use: ['mlp'] given; the name of a part is expected; installed: mlp, "
         "wrapper"),
        ("''", "4:1: encoder: unknown encoder ''; installed: mlp, wrapper"),
        ("{use: mlp, use: mlp}", "4:21: key 'use' appears twice; first at r.yaml:4:11"),
        ("{use: mlp, options: {hidden: [3]}}", "4:21: encoder.options: unknown option; allowed: hidden"),
        ("{use: mlp, options: 3}", "4:21: encoder.options: unknown option; allowed: hidden"),
        ("{use: wrapper}", "4:1: encoder.base: required, but not given; a name or {use: name, option: value} is "
         "expected; installed: mlp, wrapper"),
        ("{use: wrapper, base: 3}", "4:25: encoder.base: 3 given; a name or {use: name, option: value} is "
         "expected; "
         "installed: mlp, wrapper"),
        ("{use: wrapper, base: mpl}", "4:25: encoder.base: unknown encoder 'mpl'; did you mean 'mlp'? "
         "installed: mlp, "
         "wrapper"),
        ("{use: wrapper, base: {use: mlp, hiden: [3]}}",
         "4:42: encoder.base.hiden: unknown option; did you mean 'hidden'? allowed: hidden"),
        ("{use: wrapper, base: {use: wrapper, base: {use: mlp, hidden: [0]}}}",
         "4:72: encoder.base.base.hidden.0: 0 given; expected: an integer > 0"),
    ],
)  # fmt: skip
def test_a_wrong_part(part: str, message: str, refused: Refused) -> None:
    assert refused(GOOD.replace("{use: mlp, hidden: [16]}", part, 1)) == f"r.yaml:{message}"


# -- types and ranges ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("0", "0"), ("-3", "-3"), ("true", "true"), ("", "null"), ("null", "null"), ("[2]", "[2]"), ("{a: 1}",
         "{a: 1}"),
        (".inf", ".inf"), (".nan", ".nan"), ("2.5", "2.5"), ("two", "'two'"), ("no", "'no'"), ("1_000", "'1_000'"),
        ("2001-01-01", "'2001-01-01'"),
    ],
)  # fmt: skip
def test_what_is_no_positive_integer(value: str, given: str, refused: Refused) -> None:
    message = refused(GOOD.replace("latent: 2", f"latent: {value}"))
    assert message == f"r.yaml:3:1: latent: {given} given; expected: an integer > 0"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("latent: '2'", "latent: '2' given; expected: an integer > 0; without quotes it is a number"),
        ("latent: 2.0", "latent: 2.0 given; expected: an integer > 0; the integer is written 2"),
        ("latent: 1e3", "latent: 1000.0 given; expected: an integer > 0; the integer is written 1000"),
        ("seed: -1", "seed: -1 given; expected: an integer >= 0 and <= 9223372036854775807 (default 0)"),
        ("seed: null", "seed: null given; expected: an integer >= 0 and <= 9223372036854775807 (default 0); "
         "leave the "
         "line out for the default"),
        ("name: 3", "name: 3 given; expected: a text; put it in quotes to make it a text"),
        ("description: [a]", "description: ['a'] given; expected: a text"),
        ("train: 3", "train: 3 given; expected: a mapping of epochs, max_steps, max_time, batch_size, "
         "accumulate, eval_batch_size, eval_every_epochs, eval_every_steps, precision, runner, clip_norm, ema, "
         "early_stopping, deterministic, data, workers"),
        ("train: [1]", "train: [1] given; expected: a mapping of epochs, max_steps, max_time, batch_size, "
         "accumulate, eval_batch_size, eval_every_epochs, eval_every_steps, precision, runner, clip_norm, ema, "
         "early_stopping, deterministic, data, workers"),
        ("train: {epochs: 1.5}", "train.epochs: 1.5 given; expected: an integer > 0 (default 20)"),
        ("train: {early_stopping: true}",
         "train.early_stopping: true given; expected: a mapping of monitor, patience or null"),
        ("train: {early_stopping: {patience: 0}}",
         "train.early_stopping.patience: 0 given; expected: an integer > 0 (default 2)"),
        ("train: {early_stopping: {patiense: 2}}",
         "train.early_stopping.patiense: unknown option; did you mean 'patience'? allowed: monitor, patience"),
        ("encoder: {use: mlp, hidden: 3}",
         "encoder.hidden: 3 given; expected: a list, each an integer > 0 (default [256])"),
        ("encoder: {use: mlp, hidden: null}", "encoder.hidden: null given; expected: a list, each an integer > 0 "
         "(default [256]); leave the line out for the default"),
        ("optimizer: {use: adam, betas: [0.9]}", "optimizer.betas: [0.9] given; expected: a list of 2, each a "
         "number "
         ">= 0 and < 1 (default [0.9, 0.999])"),
        ("optimizer: {use: adam, betas: [0.9, 0.99, 0.999]}", "optimizer.betas: [0.9, 0.99, 0.999] given; "
         "expected: a "
         "list of 2, each a number >= 0 and < 1 (default [0.9, 0.999])"),
        ("optimizer: {use: adam, betas: [0.9, 1.5]}", "optimizer.betas.1: 1.5 given; expected: a number >= 0 "
         "and < 1"),
        ("optimizer: {use: adam, lr: '1e-3'}",
         "optimizer.lr: '1e-3' given; expected: a number > 0 (default 0.001); without quotes it is a number"),
        ("optimizer: {use: adam, lr: .inf}", "optimizer.lr: .inf given; expected: a finite number > 0 (default "
         "0.001)"),
        ("optimizer: {use: adam, lr: .nan}", "optimizer.lr: .nan given; expected: a finite number > 0 (default "
         "0.001)"),
        ("optimizer: {use: adam, lr: true}", "optimizer.lr: true given; expected: a number > 0 (default 0.001)"),
        ("optimizer: {use: sgd, nesterov: yes}",
         "optimizer.nesterov: 'yes' given; expected: true or false (default false)"),
        ("optimizer: {use: sgd, nesterov: 1}", "optimizer.nesterov: 1 given; expected: true or false (default "
         "false)"),
        ("data: {use: bars, size: 1}", "data.size: 1 given; expected: an integer >= 2 (default 8)"),
        ("data: {use: bars, p: 1}", "data.p: 1 given; expected: a number > 0 and < 1 (default 0.15)"),
    ],
)  # fmt: skip
def test_a_wrong_type_or_range(line: str, message: str, refused: Refused) -> None:
    key = line.partition(":")[0]
    text = "".join(old for old in GOOD.splitlines(keepends=True) if not old.startswith(f"{key}:")) + line + "\n"
    said = refused(text)
    place, _, rest = said.partition(": ")
    assert rest == message
    assert place.startswith(f"r.yaml:{text.count(chr(10))}:")


def test_an_integer_too_large_for_any_computer(refused: Refused) -> None:
    message = refused(GOOD.replace("latent: 2", "latent: 99999999999999999999"))
    assert message.startswith("r.yaml:3:9: '99999999999999999999': an integer beyond 64 bits")


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "..",
        ".",
        "../x",
        "/etc",
        "a b",
        "''",
        "é",
        "'a\\b'",
        '"a\\tb"',
        "-x",
        ".hidden",
        "_x",
        "x" * 101,
        "a:b",
    ],
)
def test_a_name_that_is_no_folder_name(name: str, refused: Refused) -> None:
    message = refused(GOOD.replace("name: bars", f"name: {name}"))
    assert message.startswith("r.yaml:1:1: name: ")
    assert message.endswith("up to 100 letters, digits, '_', '-' and '.' are allowed, a letter or digit first")


# -- several at once -------------------------------------------------------------------------------------------


def test_all_problems_come_in_one_message_in_the_order_of_their_places(refused: Refused) -> None:
    text = GOOD.replace("latent: 2", "latent: x").replace("hidden", "hiden").replace("epochs: 2", "epochs: 0")
    lines = refused(text + "sead: 1\noptimizer: adm\n", "prior=normal").split("\n")
    places = [line.split(": ")[0] for line in lines]
    assert places == [
        "override 'prior=normal'", "r.yaml:3:1", "r.yaml:4:21", "r.yaml:5:21", "r.yaml:7:9", "r.yaml:8:1",
         "r.yaml:9:1"
    ]  # fmt: skip


def test_a_flood_of_problems_is_cut(refused: Refused) -> None:
    lines = refused(GOOD + "".join(f"key{i}: 1\n" for i in range(1000))).split("\n")
    assert len(lines) == 21
    assert lines[0].startswith("r.yaml:8:1: key0: unknown option")
    assert lines[-1] == "... and 980 more"


def test_an_override_that_is_wrong_is_named(refused: Refused) -> None:
    assert refused(GOOD, "latent=0") == "override 'latent=0': latent: 0 given; expected: an integer > 0"
    assert refused(GOOD, "encoder.hiden=[3]").startswith(
        "override 'encoder.hiden=[3]': encoder.hiden: unknown option"
    )
    assert refused(GOOD, "latent=3", "latent=4") == "override 'latent=4': latent is set twice"
