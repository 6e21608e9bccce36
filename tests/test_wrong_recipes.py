"""A table of wrong recipes, and exactly what a person is told: place, cause, remedy, and the line with a caret."""

# ruff: noqa: E501  messages stand here as they are printed

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from genlab.cli import main
from genlab.interfaces import Encoder
from genlab.opening import installed_recipes
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


@dataclass(frozen=True)
class Wrong:
    """One wrong recipe: a text of its own, or GOOD with an edit, more lines, overrides; and what is said of it."""

    title: str
    said: str
    text: str | bytes = GOOD
    edit: tuple[str, str] | None = None
    add: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ref: str = "r.yaml"

    @property
    def written(self) -> bytes:
        """What stands in r.yaml."""
        text = self.text
        if self.edit is not None:
            assert isinstance(text, str)
            assert self.edit[0] in text
            text = text.replace(*self.edit, 1)
        return (text if isinstance(text, bytes) else text.encode()) + self.add.encode()


TABLE = [
    # -- YAML ------------------------------------------------------------------------------------------------
    Wrong(
        "a tab for indentation",
        edit=("train: {epochs: 2, batch_size: 32}", "train:\n\tepochs: 2"),
        said="""\
r.yaml:8:1: not YAML: while scanning for the next token found character '\\t' that cannot start any token; use spaces, not tabs
     epochs: 2
    ^""",
    ),
    Wrong(
        "a bracket that is not closed",
        edit=("hidden: [16]", "hidden: [16"),
        said="""\
r.yaml:4:32: not YAML: while parsing a flow sequence expected ',' or ']', but got '}'; within { } and [ ] a comma stands between items
    encoder: {use: mlp, hidden: [16}
                                   ^""",
    ),
    Wrong(
        "a brace that is not closed, to the end of the file",
        edit=("{epochs: 2, batch_size: 32}", "{epochs: 2, batch_size: 32"),
        said="""\
r.yaml:7:8: not YAML: while parsing a flow mapping expected ',' or '}', but got '<stream end>'; close the bracket or brace
    train: {epochs: 2, batch_size: 32
           ^""",
    ),
    Wrong(
        "no colon",
        edit=("latent: 2", "latent 2"),
        said="""\
r.yaml:3:1: not YAML: while scanning a simple key could not find expected ':'; a line is `key: value`, with a space after the colon
    latent 2
    ^""",
    ),
    Wrong(
        "no space after the colon",
        edit=("latent: 2", "latent:2"),
        said="""\
r.yaml:3:1: not YAML: while scanning a simple key could not find expected ':'; a line is `key: value`, with a space after the colon
    latent:2
    ^""",
    ),
    Wrong(
        "a quote that is not closed",
        edit=("name: bars", "name: 'bars"),
        said="""\
r.yaml:1:7: not YAML: while scanning a quoted scalar found unexpected end of stream; close the quote
    name: 'bars
          ^""",
    ),
    Wrong(
        "a comma forgotten",
        edit=("{use: mlp, hidden", "{use: mlp hidden"),
        said="""\
r.yaml:4:26: not YAML: while parsing a flow mapping expected ',' or '}', but got ':'; within { } and [ ] a comma stands between items
    encoder: {use: mlp hidden: [16]}
                             ^""",
    ),
    Wrong(
        "a colon within a text",
        edit=("name: bars", "name: bars\ndescription: VAE: small"),
        said="""\
r.yaml:2:17: not YAML: mapping values are not allowed here; put a text that has a colon in quotes, and check the indentation
    description: VAE: small
                    ^""",
    ),
    Wrong(
        "a key indented too far",
        edit=("latent: 2", "  latent: 2"),
        said="""\
r.yaml:3:3: not YAML: while parsing a block mapping expected <block end>, but found '<block mapping start>'; the keys of one mapping begin in the same column
      latent: 2
      ^""",
    ),
    Wrong(
        "a key indented too little",
        edit=("{epochs: 2, batch_size: 32}", "\n    epochs: 2\n  batch_size: 32"),
        said="""\
r.yaml:9:3: not YAML: while parsing a block mapping expected <block end>, but found '<block mapping start>'; the keys of one mapping begin in the same column
      batch_size: 32
      ^""",
    ),
    Wrong(
        "a reserved character",
        edit=("name: bars", "name: @bars"),
        said="""\
r.yaml:1:7: not YAML: while scanning for the next token found character '@' that cannot start any token; put a text that begins so in quotes
    name: @bars
          ^""",
    ),
    Wrong(
        "a percent sign",
        edit=("name: bars", "%name: bars"),
        said="""\
r.yaml:2:1: not YAML: expected '<document start>', but found ('<scalar>',); what stands before it is no `key: value` line
    data: {use: bars, size: 4, examples: 200}
    ^""",
    ),
    Wrong(
        "a list where a key should be",
        add="[1, 2]: x\n",
        said="""\
r.yaml:8:1: a key must be a word, not a list or mapping
    [1, 2]: x
    ^""",
    ),
    Wrong(
        "a second document",
        add="---\nname: other\n",
        said="""\
r.yaml:8:1: a second document; a recipe is one document
    ---
    ^""",
    ),
    Wrong(
        "an empty file",
        text="",
        said="r.yaml:1:1: the recipe is empty; `key: value` lines are expected, `name:` first",
    ),
    Wrong(
        "a list",
        text="- name: bars\n- latent: 2\n",
        said="""\
r.yaml:1:1: the recipe is not a mapping; `key: value` lines are expected, `name:` first
    - name: bars
    ^""",
    ),
    # -- encodings and characters ----------------------------------------------------------------------------
    Wrong(
        "Latin-1",
        text=(GOOD + "description: caf\u00e9\n").encode("latin-1"),
        said="""\
r.yaml:8:17: not UTF-8 text; save the file as UTF-8
    description: caf\ufffd
                    ^""",
    ),
    Wrong(
        "UTF-16",
        text=GOOD.encode("utf-16"),
        said="""\
r.yaml:1:1: not UTF-8 text; save the file as UTF-8
    \ufffd\ufffdn a m e :   b a r s
    ^""",
    ),
    Wrong(
        "a NUL",
        add="description: a\x00b\n",
        said="""\
r.yaml:8:15: character U+0000 is not allowed; a recipe is plain text
    description: a b
                  ^""",
    ),
    Wrong(
        "an escape sequence",
        add="description: \x1b[31mred\n",
        said="""\
r.yaml:8:14: character U+001B is not allowed; a recipe is plain text
    description:  [31mred
                 ^""",
    ),
    Wrong(
        "an escape sequence, escaped",
        add='description: "\\e[31mred"\n',
        said="""\
r.yaml:8:14: character U+001B is not allowed; a recipe is plain text
    description: "\\e[31mred"
                 ^""",
    ),
    # -- tags, anchors and limits ----------------------------------------------------------------------------
    Wrong(
        "a Python tag",
        edit=("latent: 2", "latent: !!python/object/apply:os.system ['true']"),
        said="""\
r.yaml:3:9: tag tag:yaml.org,2002:python/object/apply:os.system is not allowed; recipes hold plain values only
    latent: !!python/object/apply:os.system ['true']
            ^""",
    ),
    Wrong(
        "a tag that would include a file",
        edit=("{use: mlp, hidden: [16]}", "!include encoder.yaml"),
        said="""\
r.yaml:4:10: tag !include is not allowed; recipes hold plain values only
    encoder: !include encoder.yaml
             ^""",
    ),
    Wrong(
        "a tag of YAML's own",
        edit=("latent: 2", "latent: !!int '2'"),
        said="""\
r.yaml:3:9: tag tag:yaml.org,2002:int is not allowed; recipes hold plain values only
    latent: !!int '2'
            ^""",
    ),
    Wrong(
        "an alias of nothing",
        edit=("hidden: [16]}\ndecoder", "hidden: *wide}\ndecoder"),
        said="""\
r.yaml:4:29: alias *wide has no finished value &wide before it
    encoder: {use: mlp, hidden: *wide}
                                ^""",
    ),
    Wrong(
        "an alias of what it stands in",
        edit=("{use: mlp, hidden: [16]}\ndecoder", "&e {use: mlp, hidden: *e}\ndecoder"),
        said="""\
r.yaml:4:32: alias *e has no finished value &e before it
    encoder: &e {use: mlp, hidden: *e}
                                   ^""",
    ),
    Wrong(
        "a merge key",
        edit=("{epochs: 2, batch_size: 32}", "{<<: {epochs: 2}}"),
        said="""\
r.yaml:7:9: train.<<: unknown option; there are no merge keys in YAML 1.2, but a recipe can extend another; allowed: epochs, max_steps, max_time, batch_size, accumulate, eval_batch_size, eval_every_epochs, eval_every_steps, precision, runner, clip_norm, ema, early_stopping, deterministic, data, workers
    train: {<<: {epochs: 2}}
            ^""",
    ),
    Wrong(
        "an alias bomb",
        text="a0: &a0 ["
        + ", ".join("x" * 10)
        + "]\n"
        + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 6)),
        said="""\
r.yaml:4:45: more than 10000 values, aliases counted in full
    a3: &a3 [*a2, *a2, *a2, *a2, *a2, *a2, *a2, *a2, *a2, *a2]
                                                ^""",
    ),
    Wrong(
        "nested too deep",
        edit=("hidden: [16]}\ndecoder", "hidden: " + "[" * 40 + "]" * 40 + "}\ndecoder"),
        said="""\
r.yaml:4:60: nested deeper than 32 levels
    {use: mlp, hidden: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}
                                                      ^""",
    ),
    Wrong(
        "too many values",
        edit=("hidden: [16]}\ndecoder", "hidden: [" + "1, " * 10_000 + "1]}\ndecoder"),
        said="""\
r.yaml:4:29973: more than 10000 values, aliases counted in full
    , 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                      ^""",
    ),
    Wrong(
        "too large a file",
        add="# " + "x" * 200_000 + "\n",
        said="r.yaml: more than 200000 bytes; a recipe is shorter",
    ),
    # -- keys ------------------------------------------------------------------------------------------------
    Wrong(
        "a key twice",
        add="latent: 3\n",
        said="""\
r.yaml:8:1: key 'latent' appears twice; first at r.yaml:3:1
    latent: 3
    ^""",
    ),
    Wrong(
        "a key twice in a part",
        edit=("{use: mlp, hidden: [16]}\ndecoder", "{use: mlp, hidden: [16], hidden: [8]}\ndecoder"),
        said="""\
r.yaml:4:35: key 'hidden' appears twice; first at r.yaml:4:21
    encoder: {use: mlp, hidden: [16], hidden: [8]}
                                      ^""",
    ),
    Wrong(
        "an unknown key",
        edit=("latent: 2", "latnet: 2"),
        said="""\
r.yaml:1:1: latent: required, but not given (Z, the size of a latent); expected: an integer > 0
r.yaml:3:1: latnet: unknown option; did you mean 'latent'? allowed: extends, name, description, data, latent, encoder, decoder, prior, likelihood, objective, optimizer, schedule, train, checkpoint, trackers, seed
    latnet: 2
    ^""",
    ),
    Wrong(
        "extends, misspelt",
        add="extend: base.yaml\n",
        said="""\
r.yaml:8:1: extend: unknown option; did you mean 'extends'? allowed: extends, name, description, data, latent, encoder, decoder, prior, likelihood, objective, optimizer, schedule, train, checkpoint, trackers, seed
    extend: base.yaml
    ^""",
    ),
    Wrong(
        "an unknown key of train",
        edit=("epochs: 2", "epoch: 2"),
        said="""\
r.yaml:7:9: train.epoch: unknown option; did you mean 'epochs'? allowed: epochs, max_steps, max_time, batch_size, accumulate, eval_batch_size, eval_every_epochs, eval_every_steps, precision, runner, clip_norm, ema, early_stopping, deterministic, data, workers
    train: {epoch: 2, batch_size: 32}
            ^""",
    ),
    Wrong(
        "an unknown key deep down",
        edit=("{epochs: 2, batch_size: 32}", "{early_stopping: {patiense: 3}}"),
        said="""\
r.yaml:7:26: train.early_stopping.patiense: unknown option; did you mean 'patience'? allowed: monitor, patience
    train: {early_stopping: {patiense: 3}}
                             ^""",
    ),
    Wrong(
        "an unknown option of a part",
        edit=("hidden: [16]}\ndecoder", "hiden: [16]}\ndecoder"),
        said="""\
r.yaml:4:21: encoder.hiden: unknown option; did you mean 'hidden'? allowed: hidden
    encoder: {use: mlp, hiden: [16]}
                        ^""",
    ),
    Wrong(
        "an option of another part",
        edit=("likelihood: bernoulli", "likelihood: {use: bernoulli, std: 0.1}"),
        said="""\
r.yaml:6:30: likelihood.std: unknown option; allowed: none
    likelihood: {use: bernoulli, std: 0.1}
                                 ^""",
    ),
    Wrong(
        "an option of a part that has none",
        edit=("likelihood: bernoulli", "likelihood: {use: bernoulli, options: {}}"),
        said="""\
r.yaml:6:30: likelihood.options: unknown option; allowed: none
    likelihood: {use: bernoulli, options: {}}
                                 ^""",
    ),
    Wrong(
        "options beside the part",
        edit=("encoder: {use: mlp, hidden: [16]}", "encoder: mlp\nhidden: [16]"),
        said="""\
r.yaml:5:1: hidden: unknown option; allowed: extends, name, description, data, latent, encoder, decoder, prior, likelihood, objective, optimizer, schedule, train, checkpoint, trackers, seed
    hidden: [16]
    ^""",
    ),
    Wrong(
        "a required key left out",
        edit=("latent: 2\n", ""),
        said="r.yaml:1:1: latent: required, but not given (Z, the size of a latent); expected: an integer > 0",
    ),
    Wrong(
        "a required part left out",
        edit=("likelihood: bernoulli\n", ""),
        said="r.yaml:1:1: likelihood: required, but not given (p(x|z)); installed: bernoulli, gaussian",
    ),
    Wrong(
        "nothing but a name",
        text="name: bars\n",
        said="""\
r.yaml:1:1: data: required, but not given (where the examples come from); installed: bars
r.yaml:1:1: latent: required, but not given (Z, the size of a latent); expected: an integer > 0
r.yaml:1:1: encoder: required, but not given (q(z|x)); installed: mlp, wrapper
r.yaml:1:1: decoder: required, but not given (z to the likelihood's parameters); installed: mlp
r.yaml:1:1: likelihood: required, but not given (p(x|z)); installed: bernoulli, gaussian""",
    ),
    # -- types -----------------------------------------------------------------------------------------------
    Wrong(
        "a word for a number",
        edit=("latent: 2", "latent: two"),
        said="""\
r.yaml:3:1: latent: 'two' given; expected: an integer > 0
    latent: two
    ^""",
    ),
    Wrong(
        "a number in quotes",
        edit=("latent: 2", "latent: '2'"),
        said="""\
r.yaml:3:1: latent: '2' given; expected: an integer > 0; without quotes it is a number
    latent: '2'
    ^""",
    ),
    Wrong(
        "a fraction for an integer",
        edit=("latent: 2", "latent: 2.0"),
        said="""\
r.yaml:3:1: latent: 2.0 given; expected: an integer > 0; the integer is written 2
    latent: 2.0
    ^""",
    ),
    Wrong(
        "a list for a number",
        edit=("latent: 2", "latent: [2, 8]"),
        said="""\
r.yaml:3:1: latent: [2, 8] given; expected: an integer > 0
    latent: [2, 8]
    ^""",
    ),
    Wrong(
        "nothing after the colon",
        edit=("latent: 2", "latent:"),
        said="""\
r.yaml:3:1: latent: null given; expected: an integer > 0
    latent:
    ^""",
    ),
    Wrong(
        "a number for a list",
        edit=("hidden: [16]}\ndecoder", "hidden: 16}\ndecoder"),
        said="""\
r.yaml:4:21: encoder.hidden: 16 given; expected: a list, each an integer > 0 (default [256])
    encoder: {use: mlp, hidden: 16}
                        ^""",
    ),
    Wrong(
        "a text among numbers",
        edit=("hidden: [16]}\ndecoder", "hidden: [16, 'x']}\ndecoder"),
        said="""\
r.yaml:4:34: encoder.hidden.1: 'x' given; expected: an integer > 0
    encoder: {use: mlp, hidden: [16, 'x']}
                                     ^""",
    ),
    Wrong(
        "a number for a text",
        add="description: 3\n",
        said="""\
r.yaml:8:1: description: 3 given; expected: a text; put it in quotes to make it a text
    description: 3
    ^""",
    ),
    Wrong(
        "a list for a section",
        edit=("{epochs: 2, batch_size: 32}", "[2, 32]"),
        said="""\
r.yaml:7:1: train: [2, 32] given; expected: a mapping of epochs, max_steps, max_time, batch_size, accumulate, eval_batch_size, eval_every_epochs, eval_every_steps, precision, runner, clip_norm, ema, early_stopping, deterministic, data, workers
    train: [2, 32]
    ^""",
    ),
    Wrong(
        "a list for a part",
        edit=("likelihood: bernoulli", "likelihood: [bernoulli]"),
        said="""\
r.yaml:6:1: likelihood: ['bernoulli'] given; a name or {use: name, option: value} is expected; installed: bernoulli, gaussian
    likelihood: [bernoulli]
    ^""",
    ),
    Wrong(
        "true for a section",
        edit=("{epochs: 2, batch_size: 32}", "{early_stopping: true}"),
        said="""\
r.yaml:7:9: train.early_stopping: true given; expected: a mapping of monitor, patience or null
    train: {early_stopping: true}
            ^""",
    ),
    Wrong(
        "yes for true",
        add="optimizer: {use: sgd, momentum: 0.9, nesterov: yes}\n",
        said="""\
r.yaml:8:38: optimizer.nesterov: 'yes' given; expected: true or false (default false)
    optimizer: {use: sgd, momentum: 0.9, nesterov: yes}
                                         ^""",
    ),
    Wrong(
        "a number that is a text",
        add="optimizer: {use: adam, lr: 1e-3x}\n",
        said="""\
r.yaml:8:24: optimizer.lr: '1e-3x' given; expected: a number > 0 (default 0.001)
    optimizer: {use: adam, lr: 1e-3x}
                           ^""",
    ),
    Wrong(
        "too short a list",
        add="optimizer: {use: adam, betas: [0.9]}\n",
        said="""\
r.yaml:8:24: optimizer.betas: [0.9] given; expected: a list of 2, each a number >= 0 and < 1 (default [0.9, 0.999])
    optimizer: {use: adam, betas: [0.9]}
                           ^""",
    ),
    Wrong(
        "a time that is none",
        edit=("{epochs: 2, batch_size: 32}", "{max_time: ten minutes}"),
        said="""\
r.yaml:7:9: train.max_time: 'ten minutes' given; a time is expected: seconds, or for example 90s, 10m or 1h30m
    train: {max_time: ten minutes}
            ^""",
    ),
    Wrong(
        "a word that is not among those allowed",
        edit=("{epochs: 2, batch_size: 32}", "{precision: fp64}"),
        said="""\
r.yaml:7:9: train.precision: 'fp64' given; expected: one of 'fp32', 'tf32', 'bf16', 'fp16' (default 'fp32')
    train: {precision: fp64}
            ^""",
    ),
    # -- ranges ----------------------------------------------------------------------------------------------
    Wrong(
        "zero latents",
        edit=("latent: 2", "latent: 0"),
        said="""\
r.yaml:3:1: latent: 0 given; expected: an integer > 0
    latent: 0
    ^""",
    ),
    Wrong(
        "an integer beyond 64 bits",
        edit=("latent: 2", "latent: 99999999999999999999"),
        said="""\
r.yaml:3:9: '99999999999999999999': an integer beyond 64 bits; a text of digits needs quotes
    latent: 99999999999999999999
            ^""",
    ),
    Wrong(
        "a number beyond all",
        add="optimizer: {use: adam, lr: 1e400}\n",
        said="""\
r.yaml:8:28: '1e400': too large for a number; infinity is .inf
    optimizer: {use: adam, lr: 1e400}
                               ^""",
    ),
    Wrong(
        "infinity",
        add="optimizer: {use: adam, lr: .inf}\n",
        said="""\
r.yaml:8:24: optimizer.lr: .inf given; expected: a finite number > 0 (default 0.001)
    optimizer: {use: adam, lr: .inf}
                           ^""",
    ),
    Wrong(
        "a step of no size",
        add="optimizer: {use: adam, lr: 0}\n",
        said="""\
r.yaml:8:24: optimizer.lr: 0 given; expected: a number > 0 (default 0.001)
    optimizer: {use: adam, lr: 0}
                           ^""",
    ),
    Wrong(
        "a negative seed",
        add="seed: -1\n",
        said="""\
r.yaml:8:1: seed: -1 given; expected: an integer >= 0 and <= 9223372036854775807 (default 0)
    seed: -1
    ^""",
    ),
    Wrong(
        "a probability of one",
        edit=("size: 4", "size: 4, p: 1"),
        said="""\
r.yaml:2:28: data.p: 1 given; expected: a number > 0 and < 1 (default 0.15)
    data: {use: bars, size: 4, p: 1, examples: 200}
                               ^""",
    ),
    Wrong(
        "an element out of range",
        edit=("hidden: [16]}\ndecoder", "hidden: [16, 0]}\ndecoder"),
        said="""\
r.yaml:4:34: encoder.hidden.1: 0 given; expected: an integer > 0
    encoder: {use: mlp, hidden: [16, 0]}
                                     ^""",
    ),
    Wrong(
        "too few checkpoints",
        add="checkpoint: {keep: 1}\n",
        said="""\
r.yaml:8:14: checkpoint.keep: 1 given; expected: an integer >= 2 (default 2)
    checkpoint: {keep: 1}
                 ^""",
    ),
    Wrong(
        "an average that never moves",
        edit=("{epochs: 2, batch_size: 32}", "{ema: {decay: 1}}"),
        said="""\
r.yaml:7:15: train.ema.decay: 1 given; expected: a number > 0 and < 1 (default 0.999)
    train: {ema: {decay: 1}}
                  ^""",
    ),
    Wrong(
        "what excludes each other",
        edit=("{epochs: 2, batch_size: 32}", "{deterministic: true, runner: auto}"),
        said="""\
r.yaml:7:1: train: {deterministic: true, runner: 'auto'} given; deterministic training needs a fixed runner: what auto measures may differ
    train: {deterministic: true, runner: auto}
    ^""",
    ),
    # -- names -----------------------------------------------------------------------------------------------
    Wrong(
        "a name with a slash",
        edit=("name: bars", "name: ../bars"),
        said="""\
r.yaml:1:1: name: '../bars' given; a name becomes a folder: up to 100 letters, digits, '_', '-' and '.' are allowed, a letter or digit first
    name: ../bars
    ^""",
    ),
    Wrong(
        "a name with a space",
        edit=("name: bars", "name: my bars"),
        said="""\
r.yaml:1:1: name: 'my bars' given; a name becomes a folder: up to 100 letters, digits, '_', '-' and '.' are allowed, a letter or digit first
    name: my bars
    ^""",
    ),
    Wrong(
        "a name that is too long",
        edit=("name: bars", "name: " + "b" * 101),
        said="""\
r.yaml:1:1: name: 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb... given; a name becomes a folder: up to 100 letters, digits, '_', '-' and '.' are allowed, a letter or digit first
    name: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    ^""",
    ),
    Wrong(
        "a name that is a number",
        edit=("name: bars", "name: 2024"),
        said="""\
r.yaml:1:1: name: 2024 given; expected: a text; put it in quotes to make it a text
    name: 2024
    ^""",
    ),
    # -- parts -----------------------------------------------------------------------------------------------
    Wrong(
        "an unknown part",
        edit=("encoder: {use: mlp", "encoder: {use: mpl"),
        said="""\
r.yaml:4:11: encoder: unknown encoder 'mpl'; did you mean 'mlp'? installed: mlp, wrapper
    encoder: {use: mpl, hidden: [16]}
              ^""",
    ),
    Wrong(
        "an import path for a part",
        edit=("likelihood: bernoulli", "likelihood: torch.distributions.Bernoulli"),
        said="""\
r.yaml:6:1: likelihood: unknown likelihood 'torch.distributions.Bernoulli'; installed: bernoulli, gaussian
    likelihood: torch.distributions.Bernoulli
    ^""",
    ),
    Wrong(
        "a part of another kind",
        edit=("{use: mlp, hidden: [16]}\nlikelihood", "bernoulli\nlikelihood"),
        said="""\
r.yaml:5:1: decoder: unknown decoder 'bernoulli'; installed: mlp
    decoder: bernoulli
    ^""",
    ),
    Wrong(
        "a part without a name",
        edit=("{use: mlp, hidden: [16]}\ndecoder", "{hidden: [16]}\ndecoder"),
        said="""\
r.yaml:4:1: encoder: `use: name`, which says which encoder, is missing; installed: mlp, wrapper
    encoder: {hidden: [16]}
    ^""",
    ),
    Wrong(
        "a name that is none",
        edit=("{use: mlp, hidden: [16]}\ndecoder", "{use: , hidden: [16]}\ndecoder"),
        said="""\
r.yaml:4:11: encoder.use: null given; the name of a part is expected; installed: mlp, wrapper
    encoder: {use: , hidden: [16]}
              ^""",
    ),
    Wrong(
        "no nested part",
        edit=("{use: mlp, hidden: [16]}\ndecoder", "wrapper\ndecoder"),
        said="r.yaml:4:1: encoder.base: required, but not given; a name or {use: name, option: value} is expected; installed: mlp, wrapper",
    ),
    Wrong(
        "an unknown nested part",
        edit=("{use: mlp, hidden: [16]}\ndecoder", "{use: wrapper, base: mpl}\ndecoder"),
        said="""\
r.yaml:4:25: encoder.base: unknown encoder 'mpl'; did you mean 'mlp'? installed: mlp, wrapper
    encoder: {use: wrapper, base: mpl}
                            ^""",
    ),
    Wrong(
        "a wrong option of a nested part",
        edit=(
            "{use: mlp, hidden: [16]}\ndecoder",
            "{use: wrapper, base: {use: wrapper, base: {use: mlp, hiden: [8]}}}\ndecoder",
        ),
        said="""\
r.yaml:4:63: encoder.base.base.hiden: unknown option; did you mean 'hidden'? allowed: hidden
    encoder: {use: wrapper, base: {use: wrapper, base: {use: mlp, hiden: [8]}}}
                                                                  ^""",
    ),
    Wrong(
        "an unknown schedule",
        add="schedule: cosin\n",
        said="""\
r.yaml:8:1: schedule: unknown schedule 'cosin'; did you mean 'cosine'? installed: constant, cosine, one_cycle, plateau
    schedule: cosin
    ^""",
    ),
    Wrong(
        "a wrong option of a schedule",
        add="schedule: {use: cosine, warmup_steps: -1}\n",
        said="""\
r.yaml:8:25: schedule.warmup_steps: -1 given; expected: an integer >= 0 (default 0)
    schedule: {use: cosine, warmup_steps: -1}
                            ^""",
    ),
    Wrong(
        "trackers that are no list",
        add="trackers: tensorboard\n",
        said="""\
r.yaml:8:1: trackers: 'tensorboard' given; a list, each a name or {use: name, option: value}, is expected; installed: tensorboard
    trackers: tensorboard
    ^""",
    ),
    Wrong(
        "an unknown tracker",
        add="trackers: [wandb]\n",
        said="""\
r.yaml:8:12: trackers.0: unknown tracker 'wandb'; installed: tensorboard
    trackers: [wandb]
               ^""",
    ),
    Wrong(
        "a wrong option of a tracker",
        add="trackers: [{use: tensorboard, folder: x}]\n",
        said="""\
r.yaml:8:31: trackers.0.folder: unknown option; did you mean 'subfolder'? allowed: subfolder
    trackers: [{use: tensorboard, folder: x}]
                                  ^""",
    ),
    # -- extends ---------------------------------------------------------------------------------------------
    Wrong(
        "a recipe that is not there",
        add="extends: bsae.yaml\n",
        files={"base.yaml": GOOD},
        said="""\
r.yaml:8:10: extends: bsae.yaml: no such file; in .: base.yaml, r.yaml
    extends: bsae.yaml
             ^""",
    ),
    Wrong(
        "an installed recipe that is not there",
        add="extends: bar\n",
        said="""\
r.yaml:8:10: extends: bar: no such file; in .: r.yaml, and no installed recipe of that name; did you mean 'bars'? installed: {shipped}
    extends: bar
             ^""",
    ),
    Wrong(
        "an address",
        add="extends: https://example.com/base.yaml\n",
        said="""\
r.yaml:8:10: extends: 'https://example.com/base.yaml': nothing is fetched; a recipe file, the name of an installed recipe, or a list of them is expected
    extends: https://example.com/base.yaml
             ^""",
    ),
    Wrong(
        "itself",
        add="extends: r.yaml\n",
        said="""\
r.yaml:8:10: extends: it goes round in a circle: r.yaml -> r.yaml
    extends: r.yaml
             ^""",
    ),
    Wrong(
        "a circle",
        text="extends: a.yaml\n",
        files={"a.yaml": "extends: b.yaml\n", "b.yaml": "name: b\nextends: [a.yaml]\n"},
        said="""\
b.yaml:2:11: extends: it goes round in a circle: r.yaml -> a.yaml -> b.yaml -> a.yaml
    extends: [a.yaml]
              ^""",
    ),
    Wrong(
        "a base that is no mapping",
        add="extends: base.yaml\n",
        files={"base.yaml": "- 1\n"},
        said="""\
base.yaml:1:1: the recipe is not a mapping; `key: value` lines are expected, `name:` first
    - 1
    ^""",
    ),
    Wrong(
        "a base that is no YAML",
        add="extends: base.yaml\n",
        files={"base.yaml": "latent: [2\n"},
        said="""\
base.yaml:1:9: not YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'; close the bracket or brace
    latent: [2
            ^""",
    ),
    Wrong(
        "a mistake in the base",
        text="extends: base.yaml\nname: child\n",
        files={"base.yaml": GOOD.replace("latent: 2", "latent: two")},
        said="""\
base.yaml:3:1: latent: 'two' given; expected: an integer > 0
    latent: two
    ^""",
    ),
    Wrong(
        "a mistake in both",
        text="extends: base.yaml\nseed: -1\n",
        files={"base.yaml": GOOD.replace("latent: 2", "latent: two")},
        said="""\
base.yaml:3:1: latent: 'two' given; expected: an integer > 0
    latent: two
    ^
r.yaml:2:1: seed: -1 given; expected: an integer >= 0 and <= 9223372036854775807 (default 0)
    seed: -1
    ^""",
    ),
    Wrong(
        "a number",
        add="extends: 3\n",
        said="""\
r.yaml:8:10: extends: 3 given; a recipe file, the name of an installed recipe, or a list of them is expected
    extends: 3
             ^""",
    ),
    Wrong(
        "nothing",
        add="extends:\n",
        said="""\
r.yaml:8:1: extends: null given; a recipe file, the name of an installed recipe, or a list of them is expected; leave it out to extend nothing
    extends:
    ^""",
    ),
    Wrong(
        "a list with a mapping",
        add="extends: [base.yaml, {use: x}]\n",
        files={"base.yaml": "seed: 1\n"},
        said="""\
r.yaml:8:22: extends: {use: 'x'} given; a recipe file, the name of an installed recipe, or a list of them is expected
    extends: [base.yaml, {use: x}]
                         ^""",
    ),
    Wrong(
        "an option that belonged to the part that was replaced",
        text="extends: base.yaml\nencoder: {use: wrapper, hidden: [3]}\n",
        files={"base.yaml": GOOD},
        said="""\
r.yaml:2:1: encoder.base: required, but not given; a name or {use: name, option: value} is expected; installed: mlp, wrapper
r.yaml:2:25: encoder.hidden: unknown option; allowed: base
    encoder: {use: wrapper, hidden: [3]}
                            ^""",
    ),
    Wrong(
        "too long a chain",
        add="extends: f0.yaml\n",
        files={f"f{i}.yaml": f"extends: f{i + 1}.yaml\n" for i in range(40)},
        said="""\
f31.yaml:1:10: extends: more than 32 files
    extends: f32.yaml
             ^""",
    ),
    # -- null ------------------------------------------------------------------------------------------------
    Wrong(
        "a required value taken away",
        text="extends: base.yaml\nlatent: null\n",
        files={"base.yaml": GOOD},
        said="""\
r.yaml:2:1: latent: null given; expected: an integer > 0
    latent: null
    ^""",
    ),
    Wrong(
        "a required part taken away",
        text="extends: base.yaml\nencoder: null\n",
        files={"base.yaml": GOOD},
        said="""\
r.yaml:2:1: encoder: null given; a name or {use: name, option: value} is expected; installed: mlp, wrapper
    encoder: null
    ^""",
    ),
    Wrong(
        "null where nothing is inherited",
        add="seed: null\n",
        said="""\
r.yaml:8:1: seed: null given; expected: an integer >= 0 and <= 9223372036854775807 (default 0); leave the line out for the default
    seed: null
    ^""",
    ),
    Wrong(
        "null for a part that has a default",
        add="objective: null\n",
        said="""\
r.yaml:8:1: objective: null given; a name or {use: name, option: value} is expected; installed: elbo; leave the line out for the default
    objective: null
    ^""",
    ),
    Wrong(
        "null for a section",
        edit=("{epochs: 2, batch_size: 32}", "null"),
        said="""\
r.yaml:7:1: train: null given; expected: a mapping of epochs, max_steps, max_time, batch_size, accumulate, eval_batch_size, eval_every_epochs, eval_every_steps, precision, runner, clip_norm, ema, early_stopping, deterministic, data, workers; leave the line out for the default
    train: null
    ^""",
    ),
    Wrong(
        "null for the trackers",
        add="trackers:\n",
        said="""\
r.yaml:8:1: trackers: null given; a list, each a name or {use: name, option: value}, is expected; installed: tensorboard; leave the line out for the default
    trackers:
    ^""",
    ),
    # -- interpolation ---------------------------------------------------------------------------------------
    Wrong(
        "a key that is not written",
        edit=("latent: 2", "latent: ${size}"),
        said="""\
r.yaml:3:9: ${size}: no such key is written; a default cannot be referred to, write it out
    latent: ${size}
            ^""",
    ),
    Wrong(
        "a key that is nearly written",
        edit=("latent: 2", "latent: ${data.sise}"),
        said="""\
r.yaml:3:9: ${data.sise}: no such key is written; did you mean 'data.size'? a default cannot be referred to, write it out
    latent: ${data.sise}
            ^""",
    ),
    Wrong(
        "a default",
        edit=("latent: 2", "latent: ${optimizer.lr}"),
        said="""\
r.yaml:3:9: ${optimizer.lr}: no such key is written; a default cannot be referred to, write it out
    latent: ${optimizer.lr}
            ^""",
    ),
    Wrong(
        "itself",
        edit=("latent: 2", "latent: ${latent}"),
        said="""\
r.yaml:3:9: ${latent} refers to itself
    latent: ${latent}
            ^""",
    ),
    Wrong(
        "a circle",
        edit=("{epochs: 2, batch_size: 32}", "{epochs: '${train.batch_size}', batch_size: '${train.epochs}'}"),
        said="""\
r.yaml:7:17: ${train.batch_size} refers to itself
    train: {epochs: '${train.batch_size}', batch_size: '${train.epochs}'}
                    ^""",
    ),
    Wrong(
        "a value of another type",
        edit=("latent: 2", "latent: ${name}"),
        said="""\
r.yaml:3:1: latent: 'bars' given; expected: an integer > 0
    latent: ${name}
    ^""",
    ),
    Wrong(
        "of nothing",
        edit=("latent: 2", "latent: ${}"),
        said="""\
r.yaml:3:9: ${}: a key, as in ${train.epochs}, or ${env:NAME,default} is expected
    latent: ${}
            ^""",
    ),
    Wrong(
        "arithmetic",
        edit=("latent: 2", "latent: ${data.size * 2}"),
        said="""\
r.yaml:3:9: ${data.size * 2}: a key, as in ${train.epochs}, or ${env:NAME,default} is expected
    latent: ${data.size * 2}
            ^""",
    ),
    Wrong(
        "another program's resolver",
        edit=("latent: 2", "latent: ${oc.env:LATENT}"),
        said="""\
r.yaml:3:9: ${oc.env:LATENT}: a key, as in ${train.epochs}, or ${env:NAME,default} is expected
    latent: ${oc.env:LATENT}
            ^""",
    ),
    Wrong(
        "a brace that is not closed",
        edit=("latent: 2", "latent: ${data.size"),
        said="""\
r.yaml:3:9: '${data.size': ${ without }; write $${ for the characters themselves
    latent: ${data.size
            ^""",
    ),
    Wrong(
        "a mapping within a text",
        edit=("name: bars", "name: bars_${data}"),
        said="""\
r.yaml:1:7: 'bars_${data}': {use: 'bars', size: 4, examples: 200} cannot be written into a text
    name: bars_${data}
          ^""",
    ),
    Wrong(
        "a variable that is not set",
        edit=("latent: 2", "latent: ${env:LATENT_OF_MINE}"),
        said="""\
r.yaml:3:9: environment variable LATENT_OF_MINE is not set; set it or give a default: ${env:LATENT_OF_MINE,...}
    latent: ${env:LATENT_OF_MINE}
            ^""",
    ),
    Wrong(
        "a variable of another type",
        edit=("latent: 2", "latent: ${env:LATENT_OF_MINE,2}"),
        env={"LATENT_OF_MINE": "many"},
        said="""\
r.yaml:3:1: latent: 'many' given; expected: an integer > 0
    latent: ${env:LATENT_OF_MINE,2}
    ^""",
    ),
    # -- overrides -------------------------------------------------------------------------------------------
    Wrong(
        "an unknown key",
        overrides=("latnet=3",),
        said="override 'latnet=3': latnet: unknown option; did you mean 'latent'? allowed: extends, name, description, data, latent, encoder, decoder, prior, likelihood, objective, optimizer, schedule, train, checkpoint, trackers, seed",
    ),
    Wrong(
        "a wrong value",
        overrides=("latent=two",),
        said="override 'latent=two': latent: 'two' given; expected: an integer > 0",
    ),
    Wrong(
        "a value left out",
        overrides=("latent=",),
        said="override 'latent=': latent: null given; expected: an integer > 0",
    ),
    Wrong(
        "one twice",
        overrides=("latent=3", "latent=4"),
        said="override 'latent=4': latent is set twice",
    ),
    Wrong(
        "inside a number",
        overrides=("latent.size=3",),
        said="override 'latent.size=3': size cannot be set in 2, which is written at r.yaml:3:9; it has nothing inside",
    ),
    Wrong(
        "inside a list",
        overrides=("encoder.hidden.0=8",),
        said="override 'encoder.hidden.0=8': 0 cannot be set in [16], which is written at r.yaml:4:29; set the whole list",
    ),
    Wrong(
        "what undoes another",
        overrides=("encoder.hidden=[8]", "encoder=mlp"),
        said="override 'encoder=mlp': it would undo the override of encoder.hidden; put it before that one",
    ),
    Wrong(
        "what only a file can say",
        overrides=("extends=base.yaml",),
        said="override 'extends=base.yaml': extends is read from files only; write it into a recipe of your own",
    ),
    Wrong(
        "no YAML",
        overrides=("encoder={use: mlp",),
        said="override 'encoder={use: mlp': not YAML: while parsing a flow mapping expected ',' or '}', but got '<stream end>'; close the bracket or brace",
    ),
    Wrong(
        "a number for a section",
        overrides=("train=3",),
        said="override 'train=3': train: 3 given; expected: a mapping of epochs, max_steps, max_time, batch_size, accumulate, eval_batch_size, eval_every_epochs, eval_every_steps, precision, runner, clip_norm, ema, early_stopping, deterministic, data, workers",
    ),
    Wrong(
        "an unknown part",
        overrides=("encoder=mpl",),
        said="override 'encoder=mpl': encoder: unknown encoder 'mpl'; did you mean 'mlp'? installed: mlp, wrapper",
    ),
    Wrong(
        "an option of a part that is not named",
        overrides=("prior.width=3",),
        said="override 'prior.width=3': prior.width: unknown option; allowed: none",
    ),
    Wrong(
        "an empty step",
        overrides=("train..epochs=3",),
        said="override 'train..epochs=3': key=value is expected, as in train.epochs=3",
    ),
    Wrong(
        "an interpolation of nothing",
        overrides=("latent=${nothing}",),
        said="override 'latent=${nothing}': ${nothing}: no such key is written; a default cannot be referred to, write it out",
    ),
    # -- what only shows when the parts are built ------------------------------------------------------------
    Wrong(
        "a metric that there is not",
        edit=("{epochs: 2, batch_size: 32}", "{early_stopping: {monitor: val/los}}"),
        said="""\
r.yaml:7:26: train.early_stopping.monitor: unknown metric 'val/los'; did you mean 'val/loss'? this objective has train/loss, train/nll, train/kl, val/loss, val/nll, val/kl
    train: {early_stopping: {monitor: val/los}}
                             ^""",
    ),
    Wrong(
        "a metric that a schedule watches in vain",
        add="schedule: {use: plateau, monitor: accuracy}\n",
        said="""\
r.yaml:8:26: schedule.monitor: unknown metric 'accuracy'; this objective has train/loss, train/nll, train/kl, val/loss, val/nll, val/kl
    schedule: {use: plateau, monitor: accuracy}
                             ^""",
    ),
    Wrong(
        "options that do not go together",
        add="optimizer: {use: sgd, nesterov: true}\n",
        said="""\
r.yaml:8:1: optimizer 'sgd' cannot be built: Nesterov momentum requires a momentum and zero dampening
    optimizer: {use: sgd, nesterov: true}
    ^""",
    ),
    Wrong(
        "a step that is too long",
        add="optimizer: {use: sgd, lr: 1.0e+300}\n",
        said="""\
r.yaml:8:1: optimizer 'sgd': encoder.net.1.0.weight is not finite after one step; a smaller lr is the usual remedy
    optimizer: {use: sgd, lr: 1.0e+300}
    ^""",
    ),
    # -- several at once -------------------------------------------------------------------------------------
    Wrong(
        "all in the order in which they stand, overrides first",
        text=GOOD.replace("latent: 2", "latent: two")
        .replace("hidden: [16]}\ndec", "hiden: [16]}\ndec")
        .replace("epochs: 2", "epochs: 0")
        + "sead: 1\n",
        overrides=("prior=normal",),
        said="""\
override 'prior=normal': prior: unknown prior 'normal'; installed: standard_normal
r.yaml:3:1: latent: 'two' given; expected: an integer > 0
    latent: two
    ^
r.yaml:4:21: encoder.hiden: unknown option; did you mean 'hidden'? allowed: hidden
    encoder: {use: mlp, hiden: [16]}
                        ^
r.yaml:7:9: train.epochs: 0 given; expected: an integer > 0 (default 20)
    train: {epochs: 0, batch_size: 32}
            ^
r.yaml:8:1: sead: unknown option; did you mean 'seed'? allowed: extends, name, description, data, latent, encoder, decoder, prior, likelihood, objective, optimizer, schedule, train, checkpoint, trackers, seed
    sead: 1
    ^""",
    ),
    # -- references ------------------------------------------------------------------------------------------
    Wrong(
        "a file that is not there",
        ref="nope.yaml",
        said="nope.yaml: no such file; in .: r.yaml",
    ),
    Wrong(
        "a folder",
        ref=".",
        said=".: a folder; a recipe is one YAML file; in .: r.yaml",
    ),
    Wrong(
        "an installed recipe that is nearly there",
        ref="barz",
        said="barz: no such file; in .: r.yaml, and no installed recipe of that name; did you mean 'bars'? installed: {shipped}",
    ),
]


class Wrapper(MLPEncoder):
    """An encoder with a nested part."""

    def __init__(self, x_shape: tuple[int, ...], latent: int, *, base: Encoder) -> None:
        super().__init__(x_shape, latent)


@pytest.fixture(autouse=True)
def parts_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages list what is installed: here, genlab's own parts and one with a nested part."""
    registry = installed().registry
    own = {(part.kind, part.name): part for part in registry.parts() if part.distribution == "genlab"}
    monkeypatch.setattr(registry, "_parts", own)
    registry.register("wrapper", Wrapper, "tests")


@pytest.mark.parametrize("wrong", TABLE, ids=lambda wrong: wrong.title)
def test_a_wrong_recipe_is_told_exactly_so(
    wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_bytes(wrong.written)
    for name, text in wrong.files.items():
        Path(name).write_text(text)
    for name, value in wrong.env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        main(["validate", wrong.ref, *wrong.overrides])
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    shipped = ", ".join(recipe.name for recipe in installed_recipes())  # other plugins may bring more
    assert err == f"error: {wrong.said}\n".replace("{shipped}", shipped)
    assert out.split() in ([], [wrong.ref, "wrong"])  # nothing where an override cannot even be read


def test_the_recipe_that_they_are_made_of_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(GOOD)
    with pytest.raises(SystemExit) as ended:
        main(["validate", "r.yaml"])
    assert ended.value.code == 0, capsys.readouterr()


def test_the_table_is_long_and_no_line_of_it_stands_twice() -> None:
    assert len(TABLE) >= 60
    assert len({(w.written, w.overrides, w.ref, *w.files.items(), *w.env.items()) for w in TABLE}) == len(TABLE)


@pytest.mark.parametrize("wrong", TABLE, ids=lambda wrong: wrong.title)
def test_what_is_said_is_for_people(wrong: Wrong) -> None:
    """Every message can be printed, speaks of no machinery, and puts its caret below the line."""
    assert all(line.isprintable() for line in wrong.said.split("\n"))
    assert not re.search(r"Traceback|pydantic|Input should|validation error|function-|<class|NoneType", wrong.said)
    lines = wrong.said.split("\n")
    for above, line in pairwise(lines):
        if line.strip() == "^":
            assert 4 <= line.index("^") < max(len(above), 5)
