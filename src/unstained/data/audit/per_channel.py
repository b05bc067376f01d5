"""One finding where a probe of each channel found the same: the one that reaches most speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from unstained.data.audit.findings import Finding
from unstained.data.audit.shortcuts import ProbeResult, Scheme, Verdict

RANDOM: Final = "random split"
"""Check of the findings on what a random split gains."""


def one_of_channels(findings: Sequence[Finding], probes: Sequence[ProbeResult]) -> list[Finding]:
    """Findings with those on one kind of probe, of one verdict, taken together.

    Args:
        findings: of `findings.shortcut_findings`.
        probes: that they speak of.

    Returns:
        In the order of the findings that remain; their sentences name the numbers of the others.
    """
    verdicts = {(result.scheme, result.probe): result.verdict for result in probes}
    alike: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        alike.setdefault(_key(finding, verdicts), []).append(finding)
    return [_spoken(of_channels) for of_channels in alike.values()]


def _key(finding: Finding, verdicts: Mapping[tuple[Scheme, str], Verdict]) -> tuple[str, ...]:
    check, _, probe = finding.check.partition(": ")
    scheme: Scheme = "random" if check == RANDOM else "grouped"
    kind, _, channel = probe.partition("_")
    if not channel or finding.value is None:
        return (finding.check,)
    return check, kind, finding.severity, verdicts[scheme, probe]


def _spoken(findings: Sequence[Finding]) -> Finding:
    if len(findings) == 1:
        return findings[0]
    most = max(findings, key=lambda finding: finding.value or 0.0)
    others = ", ".join(_numbers(finding) for finding in findings if finding is not most)
    what = "Differences in other" if most.check.startswith(RANDOM) else "The other"
    return replace(most, sentence=f"{most.sentence} {what} channels: {others}.")


def _numbers(finding: Finding) -> str:
    channel = finding.check.partition("_")[2]
    low, high = finding.interval or (finding.value, finding.value)
    return f"{channel} {finding.value:.2f} ({low:.2f} to {high:.2f})"
