"""A page's sentences, which lie in `prose.j2` beside the modules that say them.

One block a sentence or paragraph; names in braces are filled by the module that asks for it, with
numbers already as they are to be read. So words can be read, reviewed and changed in one place, and
code holds what is decided and counted.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, StrictUndefined, Template

FILE: Final = "prose.j2"

_SPACES: Final = re.compile(r"[ \n]+")
"""What is written over several lines is read as one; a space that must not break stays."""
_PER_CENT: Final = re.compile(r"(?<=\d) %")
"""A number and its sign stay on one line."""


class Prose:
    """The sentences of one package.

    Args:
        module: `__name__` of a module that says them; prose.j2 lies in its package.
    """

    def __init__(self, module: str) -> None:
        self.package = module.rpartition(".")[0]

    def __call__(self, key: str, /, **values: object) -> str:
        """One text, plain, not yet escaped for HTML.

        Args:
            key: name of its block.
            values: what its names in braces stand for.

        Raises:
            KeyError: there is no such block.
            jinja2.UndefinedError: a name has no value.
        """
        template = _template(self.package)
        lines = template.blocks[key](template.new_context(values))
        return _PER_CENT.sub("\u00a0%", _SPACES.sub(" ", "".join(lines)).strip())


@cache
def _template(package: str) -> Template:
    environment = Environment(undefined=StrictUndefined, autoescape=False)  # noqa: S701 - plain text
    return environment.from_string(files(package).joinpath(FILE).read_text(encoding="utf-8"))
