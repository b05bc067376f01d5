"""Kubeflow components, one file a stage: a signature, one import and one call.

The signature says what a task shows in the Kubeflow UI. What the stage does, which parameters it
has and which outputs of other stages it reads stands in `unstained.stages`;
tests/pipelines/test_components.py holds every signature against that contract.
"""
