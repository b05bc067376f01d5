"""Real servers on loopback for tests: S3 (Ceph), PostgreSQL, MLflow.

Each module has `available()`, the reason why its server cannot run here ('' where it can), and a
context manager that starts one on a free port, with data in a directory of its own, and stops it.
Fixtures that share them among tests are in `tests.servers.fixtures`.
"""
