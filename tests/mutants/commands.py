"""Hooks that add commands, with one mistake each."""

from __future__ import annotations

from tests.mutants import hooks
from tests.mutants.making import Mutant
from tests.mutants.torch_command import genlab_commands

MUTANTS: dict[str, Mutant] = {
    "adds_commands": Mutant(hooks.nothing, "adds none"),
    "takes_no_name_of_genlabs": Mutant(hooks.sample, "a command called sample"),
    "has_typeable_names": Mutant(hooks.capital, "a command called Count_All"),
    "says_what_it_does": Mutant(hooks.without_help, "no docstring"),
    "gives_an_example": Mutant(hooks.without_example, "no example"),
    "shows_its_help": Mutant(hooks.eager, "no --help"),
    "refuses_unknown_options": Mutant(hooks.lenient, "takes any option"),
    "can_be_added_again": Mutant(hooks.talks, "prints when it is added"),
    "leaves_torch_for_later": Mutant(genlab_commands, "imports torch beside its hook"),
}
