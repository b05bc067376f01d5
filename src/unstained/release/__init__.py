"""From an exported model to a promoted one: export, registry, comparison, gate, ledger."""
