"""Create the buckets of the places (s3://bucket/...) that are named, where there are none yet."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import boto3

s3 = boto3.client("s3")
present = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
for name in sorted({urlsplit(place).netloc for place in sys.argv[1:]} - present):
    s3.create_bucket(Bucket=name)
    print(f"created {name}")  # noqa: T201  (a pod's log is its screen)
