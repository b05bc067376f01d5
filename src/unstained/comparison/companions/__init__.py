"""Every model on every fold with every seed: tables, tests and figures of a whole comparison."""
