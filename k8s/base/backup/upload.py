"""Copy the backup in WORK to BACKUP_BUCKET: its files, then the list of their digests.

The list comes last: a backup without manifest.json is not whole, and restore refuses it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import boto3

work, bucket = Path(os.environ["WORK"]), os.environ["BACKUP_BUCKET"]
stamp = (work / "stamp").read_text(encoding="utf-8").strip()
home = work / stamp
s3 = boto3.client("s3")
digests = {}
for path in sorted(p for p in home.rglob("*") if p.is_file()):
    name = path.relative_to(home).as_posix()
    with path.open("rb") as file:
        digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    s3.upload_file(str(path), bucket, f"{stamp}/{name}")
manifest = json.dumps(digests, indent=2, sort_keys=True) + "\n"
s3.put_object(Bucket=bucket, Key=f"{stamp}/manifest.json", Body=manifest.encode())
print(f"s3://{bucket}/{stamp}: {len(digests)} files")  # noqa: T201  (a pod's log is its screen)
