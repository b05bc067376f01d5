"""Kubeflow pipelines: which component feeds which, compiled, run here and on a cluster."""
