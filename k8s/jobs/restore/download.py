"""Fetch the backup named BACKUP from BACKUP_BUCKET into WORK, and check every file's digest."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

work, bucket, name = (os.environ[key] for key in ("WORK", "BACKUP_BUCKET", "BACKUP"))
s3 = boto3.client("s3")
try:
    manifest = s3.get_object(Bucket=bucket, Key=f"{name}/manifest.json")["Body"].read()
except ClientError as error:
    sys.exit(f"error: s3://{bucket}/{name} is no whole backup, it has no manifest.json ({error})")
for file, recorded in sorted(json.loads(manifest).items()):
    path = Path(work, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    s3.download_file(bucket, f"{name}/{file}", str(path))
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != recorded:
        sys.exit(f"error: s3://{bucket}/{name}/{file} was changed: its digest is {digest}")
print(f"fetched s3://{bucket}/{name}")  # noqa: T201  (a pod's log is its screen)
