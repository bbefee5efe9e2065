"""How options are declared, and read from a file."""

from relax.cli.options.declaration.option import (
    Option,
    argument,
    check_values,
    completes,
    declarations,
    finite,
    flag_of,
    not_negative,
    one_of,
    option,
    positive,
    quiet_option,
)
from relax.cli.options.declaration.signature import takes_options

__all__ = [
    "Option",
    "argument",
    "check_values",
    "completes",
    "declarations",
    "finite",
    "flag_of",
    "not_negative",
    "one_of",
    "option",
    "positive",
    "quiet_option",
    "takes_options",
]
