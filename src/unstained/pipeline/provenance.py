"""Where a page's numbers come from, as its last section says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unstained.config.base import Params
from unstained.pipeline.contract import Job

if TYPE_CHECKING:
    from unstained.data.store.cell_store import CellStore


def provenance(
    params: Params, store: CellStore, job: Job, *more: tuple[str, str]
) -> tuple[tuple[str, str], ...]:
    """Facts that make the same numbers again.

    Args:
        params: of the stage.
        store: the cells.
        job: of the run.
        more: what else this stage's numbers depend on.
    """
    from unstained import __version__

    return (
        ("Study, recipe", f"{job.study}, {job.recipe}"),
        ("Source of the cells", str(store.manifest["source"])),
        ("Data hash", store.digest),
        ("Git commit", job.git_commit),
        ("Parameters hash", params.digest()),
        ("Fingerprint of this run", job.fingerprint),
        ("Package", f"unstained {__version__}"),
        *more,
    )
