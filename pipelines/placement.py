"""Where a task runs and what it may use: the only place that sets resources, volumes and retries.

kfp's local runner ignores these settings with a warning; a cluster does not.
"""

from __future__ import annotations

from kfp import kubernetes
from kfp.dsl import PipelineTask

from pipelines.deployment import Deployment, Resources

UID = 10001
SIGNING_SECRET, TRUST = "unstained-signing", "unstained-trust"
TOKENS, TOKEN = "unstained-mlflow-tokens", "MLFLOW_TRACKING_TOKEN"
"""Secret of MLflow's tokens, one an account: `writer` for tasks, `promoter` for what decides."""
HOOK = "unstained-notify"
"""Secret of the web hook that is told how runs end: its address lets anybody write there."""
STATE, LEDGER = "/state", "/ledger"


def pure(task: PipelineTask, deployment: Deployment) -> PipelineTask:
    """A task whose result follows from its arguments: cached.

    The cache key of Kubeflow holds the image's digest, every argument and the input artifacts.
    Those are what a stage's fingerprint is made of: its sections of params.yaml, its names, the
    digest of its code, and the store's pointer, which is an argument and holds the data hash.
    (A key set by hand would be one for all tasks of a loop, and hand one model's weights to
    another.)
    """
    return _place(task, deployment, deployment.light).set_caching_options(True)


def acting(task: PipelineTask, deployment: Deployment) -> PipelineTask:
    """A task that changes something or looks at what changes (registry, ledger): never cached."""
    return _place(task, deployment, deployment.light).set_caching_options(False)


def heavy(task: PipelineTask, deployment: Deployment) -> PipelineTask:
    """A training task: pure, on a GPU where the cluster has some, resumed after pre-emption."""
    _place(task, deployment, deployment.heavy).set_caching_options(True)
    kubernetes.empty_dir_mount(
        task,
        volume_name="shared-memory",
        mount_path="/dev/shm",  # noqa: S108  (torch's workers exchange tensors here)
        medium="Memory",
        size_limit=deployment.shared_memory,
    )
    gpus = deployment.accelerators
    if gpus is not None:
        task.set_accelerator_type(gpus.resource).set_accelerator_limit(gpus.count)
        for key, value in gpus.node_selector.items():
            kubernetes.add_node_selector(task, key, value)
        for toleration in gpus.tolerations:
            kubernetes.add_toleration(task, **toleration.model_dump())
    return task


def deciding(task: PipelineTask, deployment: Deployment) -> PipelineTask:
    """A task that goes by the ledger: `acting`, as the one account that may move the champion."""
    _place(task, deployment, deployment.light, account="promoter").set_caching_options(False)
    return with_ledger(task, deployment)


def with_ledger(task: PipelineTask, deployment: Deployment) -> PipelineTask:
    """Give a task the volume that holds the promotion ledger, and the key that must have signed."""
    kubernetes.use_config_map_as_env(
        task, TRUST, {"verify-key.pem": "UNSTAINED_VERIFY_KEY"}, optional=True
    )
    if deployment.ledger_claim is None:
        return task
    kubernetes.mount_pvc(task, pvc_name=deployment.ledger_claim, mount_path=LEDGER)
    return task.set_env_variable("UNSTAINED_LEDGER", LEDGER)


def with_keys(task: PipelineTask) -> PipelineTask:
    """Give the one task that promotes the key to sign with."""
    return kubernetes.use_secret_as_env(
        task, SIGNING_SECRET, {"signing-key.pem": "UNSTAINED_SIGNING_KEY"}, optional=True
    )


def reporting(task: PipelineTask, deployment: Deployment) -> PipelineTask:
    """The task that tells how a run ended: `acting`, with the address of the web hook, if any."""
    kubernetes.use_secret_as_env(task, HOOK, {"url": "UNSTAINED_NOTIFY_URL"}, optional=True)
    return acting(task, deployment)


def _place(
    task: PipelineTask, deployment: Deployment, resources: Resources, account: str = "writer"
) -> PipelineTask:
    """What every task has: limits equal to requests, addresses, credentials, places to write."""
    task.set_cpu_request(resources.cpu).set_cpu_limit(resources.cpu)
    task.set_memory_request(resources.memory).set_memory_limit(resources.memory)
    retries = deployment.retries
    if retries.count:
        task.set_retry(
            num_retries=retries.count,
            backoff_duration=retries.backoff,
            backoff_factor=retries.factor,
            backoff_max_duration=retries.longest,
        )
    for key in ADDRESSES:
        kubernetes.use_config_map_as_env(task, deployment.config_map, {key: key}, optional=True)
    for secret, keys in deployment.secrets.items():
        kubernetes.use_secret_as_env(task, secret, dict(keys))
    kubernetes.use_secret_as_env(task, TOKENS, {account: TOKEN}, optional=True)
    for name, path in (("work", "/tmp"), ("home", "/home/unstained")):  # noqa: S108
        kubernetes.empty_dir_mount(
            task, volume_name=name, mount_path=path, size_limit=deployment.work_space
        )
    kubernetes.set_security_context(task, run_as_user=UID, run_as_group=UID, run_as_non_root=True)
    if deployment.state_claim is None:
        return task
    kubernetes.mount_pvc(task, pvc_name=deployment.state_claim, mount_path=STATE)
    return task.set_env_variable("UNSTAINED_STATE", STATE)


ADDRESSES = (
    "MLFLOW_TRACKING_URI",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "UNSTAINED_DATA_REMOTE",
    "UNSTAINED_MODEL_STORE",
)
"""Keys of the config map, each an environment variable of every task."""
