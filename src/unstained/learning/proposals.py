"""A search space in Optuna's terms: choices are JSON texts there, values everywhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import optuna

from unstained.config.search_space import Choices, Rule

Proposal = dict[str, float | str]


def distribution(rule: Rule) -> optuna.distributions.BaseDistribution:
    """Of one parameter."""
    if isinstance(rule, Choices):
        return optuna.distributions.CategoricalDistribution([json.dumps(c) for c in rule.choices])
    return optuna.distributions.FloatDistribution(rule.low, rule.high, log=rule.log)


def proposed(space: Mapping[str, Rule], values: Mapping[str, Any]) -> Proposal:
    """Values as Optuna is told them."""
    found: Proposal = {}
    for name, value in values.items():
        rule = space[name]
        if isinstance(rule, Choices):
            found[name] = json.dumps(rule.choices[rule.choices.index(value)])
        else:
            found[name] = value
    return found


def meant(space: Mapping[str, Rule], proposal: Mapping[str, Any]) -> dict[str, Any]:
    """What Optuna proposes, as values."""
    return {
        name: json.loads(value) if isinstance(space[name], Choices) else value
        for name, value in proposal.items()
    }
