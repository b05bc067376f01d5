"""Print every backup in BACKUP_BUCKET: its name for a restore, whether it is whole, its files."""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict

import boto3

bucket = os.environ["BACKUP_BUCKET"]
s3 = boto3.client("s3")
sizes: dict[str, dict[str, int]] = defaultdict(dict)
for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
    for item in page.get("Contents", ()):
        name, _, file = item["Key"].partition("/")
        sizes[name][file] = item["Size"]
whole = 0
for name, files in sorted(sizes.items()):
    said = "no manifest.json: cut off, restore refuses it"
    if "manifest.json" in files:
        content = s3.get_object(Bucket=bucket, Key=f"{name}/manifest.json")["Body"].read()
        try:
            missing = sorted(set(json.loads(content)) - set(files))
        except (ValueError, TypeError):
            missing = ["a manifest.json that can be read"]
        said = f"lacks {', '.join(missing)}" if missing else "whole"
        whole += not missing
    held = ", ".join(f"{file} {size}" for file, size in sorted(files.items()))
    print(f"{name}  {said}  ({held})")  # noqa: T201  (a pod's log is its screen)
if not whole:
    sys.exit(f"error: s3://{bucket} holds no whole backup")
