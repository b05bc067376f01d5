"""MLflow, the ledger, the gate: what is registered, and who is champion."""
