"""Create the buckets named on the command line, where they are not there yet."""

from __future__ import annotations

import sys

import boto3

s3 = boto3.client("s3")
present = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
for name in sys.argv[1:]:
    if name not in present:
        s3.create_bucket(Bucket=name)
        print(f"created {name}")  # noqa: T201  (a pod's log is its screen)
