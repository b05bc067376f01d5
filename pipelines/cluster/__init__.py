"""Submit and schedule compiled pipelines on a cluster that runs Kubeflow Pipelines.

The generated v2beta1 client (`kfp_server_api`) is used directly. `kfp.Client` is a wrapper around
it that prints links, reads ~/.config/kfp, may start a login dialogue and lets no timeout through.

`connection` speaks to the server, `package` reads compiled pipelines, `registration` puts pipeline,
version and experiment there once, `runs` and `schedules` are what the command line calls.
"""

from pipelines.cluster.errors import ClusterError
from pipelines.cluster.runs import RunOutcome, submit
from pipelines.cluster.schedules import Schedule, schedule

__all__ = ["ClusterError", "RunOutcome", "Schedule", "schedule", "submit"]
