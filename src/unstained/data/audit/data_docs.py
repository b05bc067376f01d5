"""Outcome of expectations, and their Data Docs as one self-contained page.

Great Expectations' own pages load scripts and style sheets from the network and carry run times.
Only the sections that it renders are kept, under a style sheet of our own: the page is readable
offline, sends no request, and equal results give equal bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from unstained.errors import ValidationError

STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 0.5rem; }
h5 { font-size: 1rem; margin: 1.5rem 0 0.3rem; } h6 { font-size: 0.9rem; margin: 0.5rem 0 0; }
table { border-collapse: collapse; width: 100%; margin: 0.3rem 0 1rem; table-layout: fixed; }
table > thead th:first-child { width: 5rem; } table > thead th:last-child { width: 14rem; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.6rem;
  border-bottom: 1px solid #8884; } thead[hidden] { display: none; }
.badge, .code-snippet { font-family: ui-monospace, monospace; }
.fa-check-circle::before { content: "\\2713"; color: #2a7d46; font-weight: bold; }
.fa-times::before, .fa-exclamation-triangle::before { content: "\\2717"; color: #b3261e;
  font-weight: bold; }
.cooltip .top, .modal, button { display: none; }
"""


@dataclass(frozen=True)
class Failure:
    """One expectation that does not hold.

    Attributes:
        expectation: what was expected, in words.
        count: how many rows break it; 0 where the table as a whole does.
        rows: names of the first rows that break it.
    """

    expectation: str
    count: int
    rows: tuple[str, ...]

    def __str__(self) -> str:
        if not self.rows:
            return self.expectation
        more = ", ..." if self.count > len(self.rows) else ""
        noun = "row breaks" if self.count == 1 else "rows break"
        return f"{self.expectation}: {self.count:,} {noun} it: {', '.join(self.rows)}{more}"


@dataclass(frozen=True)
class Validation:
    """Outcome of all expectations.

    Attributes:
        expectations: how many were checked.
        failures: those that do not hold.
        html: the Data Docs page.
    """

    expectations: int
    failures: tuple[Failure, ...]
    html: str

    def require(self, remedy: str) -> None:
        """Stop where an expectation failed.

        Raises:
            ValidationError: naming every failed expectation and its first rows.
        """
        if self.failures:
            listed = "\n  ".join(str(failure) for failure in self.failures)
            number = f"{len(self.failures)} of {self.expectations} expectations"
            raise ValidationError(f"{number} of the cell table do not hold:\n  {listed}", remedy)


def page(
    title: str, expectations: int, failures: Sequence[Failure], sections: Iterable[tuple[str, str]]
) -> str:
    """The Data Docs page.

    Args:
        title: of the study.
        expectations: how many were checked.
        failures: those that do not hold; they lead the page.
        sections: heading and HTML; a heading is shown once for consecutive sections.
    """
    parts, last = [], ""
    for heading, html in sections:
        parts += [f"<h2>{escape(heading)}</h2>", html] if heading != last else [html]
        last = heading
    verdict = f"{expectations - len(failures)} of {expectations} expectations hold."
    listed = "".join(f"<li>{escape(str(failure))}</li>" for failure in failures)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>Data Docs: {escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Data Docs: {escape(title)}</h1>\n<p>{verdict}</p>\n<ul>{listed}</ul>\n"
        f"{_plain(''.join(parts))}\n</body>\n</html>\n"
    )


def _plain(html: str) -> str:
    """Without scripts, random element ids and blank lines."""
    html = re.sub(r"<script\b.*?</script>", "", html, flags=re.DOTALL)
    html = re.sub(r'\s(?:id|data-[a-z-]+|aria-[a-z]+)="[^"]*"', "", html)
    return re.sub(r"\n\s*\n+", "\n", html)
