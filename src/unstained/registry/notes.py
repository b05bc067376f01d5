"""What a person reads about a model and a version in MLflow's own pages (Markdown)."""

from __future__ import annotations

from collections.abc import Mapping

from unstained.registry.submission import FOLD, SEED, Submission


def about_model(given: Submission) -> str:
    """Description of the registered model."""
    return (
        f"Study **{given.study}**: all versions of all its models.\n\n"
        "- alias `champion`: promoted by the gate, see the version's tags\n"
        "- alias `challenger`: best version of the newest run that the gate refused\n"
        "- alias `previous`: what `unstained rollback "
        f"{given.study}` would make champion again\n"
        "- tag `fold`: a replicate of the comparison across folds and seeds, never promoted\n\n"
        "Versions can be compared where `data_digest` and `split_digest` agree: "
        f"`unstained compare {given.study}` tests them in pairs on the same cells."
    )


def about_version(given: Submission, tags: Mapping[str, str]) -> str:
    """Description of a version: headline metrics and where it comes from."""
    rows = [f"| {name} | {given.metrics[name]:.4g} |" for name in given.headline]
    cells = "simulated cells" if given.simulated else "measured cells"
    which = f", fold {tags[FOLD]}, seed {tags[SEED]}: no candidate" if FOLD in tags else ""
    return "\n".join(
        [
            f"**{given.model}** on {cells}, recipe `{given.recipe}`{which}",
            "",
            "| metric | value |",
            "|---|---|",
            *rows,
            "",
            f"git {tags['git_commit']}, data {tags['data_digest'][:12]}, "
            f"split {tags['split_digest'][:12]}, artifact {tags['artifact_digest'][:12]}",
        ]
    )
