"""Add to restored ledgers what was decided after the backup: UNSTAINED_MODEL_STORE holds it.

Entries are never taken back, and their copies in the store cannot be: an older ledger is refused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from unstained.cli import guarded
from unstained.registry.ledger import Ledger
from unstained.registry.shipping import model_store
from unstained.registry.stored import Stored, studies_of
from unstained.wording import counted


def main() -> None:
    """Every study's ledger in UNSTAINED_LEDGER."""
    store = model_store()
    for study in studies_of(store) if store else ():
        ledger = Ledger(Path(os.environ["UNSTAINED_LEDGER"], f"{study}.jsonl"))
        with ledger.locked():
            later = Stored(str(store), study).later(ledger.entries())
            if later:
                ledger.add(later)
        added = counted(len(later), "entry", "entries")
        print(f"{study}: {added} from after the backup")  # noqa: T201  (a pod's log is its screen)


sys.exit(guarded(main))
