"""Fetch the backup named BACKUP from BACKUP_BUCKET into WORK, and check every file's digest."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

work, bucket, name = (os.environ[key] for key in ("WORK", "BACKUP_BUCKET", "BACKUP"))
place = f"s3://{bucket}/{name}"
s3 = boto3.client("s3")
try:
    digests = json.loads(s3.get_object(Bucket=bucket, Key=f"{name}/manifest.json")["Body"].read())
    for file, recorded in sorted(digests.items()):
        path = Path(work, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, f"{name}/{file}", str(path))
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        if digest != recorded:
            sys.exit(f"error: {place}/{file} was changed: its digest is {digest}")
except s3.exceptions.NoSuchKey:
    sys.exit(f"error: {place} is no whole backup: it has no manifest.json")
except (ValueError, AttributeError):
    sys.exit(f"error: {place}/manifest.json is damaged; restore another backup")
except (ClientError, BotoCoreError, Boto3Error) as error:
    sys.exit(f"error: {place} cannot be fetched whole: {error}")
print(f"fetched {place}")  # noqa: T201  (a pod's log is its screen)
