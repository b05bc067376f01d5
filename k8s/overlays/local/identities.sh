# Write the store's users to $CONFIG/s3.json: one that may do everything, and one, for serving, that
# may only read the bucket of $MODELS (s3://bucket/...). Keys must be plain letters and digits, as `openssl rand -hex` prints them.
set -eu
umask 077
models=${MODELS#s3://}
models=${models%%/*}
cat >"$CONFIG/s3.json" <<END
{"identities": [
  {"name": "unstained",
   "credentials": [{"accessKey": "$ADMIN_KEY_ID", "secretKey": "$ADMIN_SECRET"}],
   "actions": ["Admin"]},
  {"name": "serving",
   "credentials": [{"accessKey": "$SERVING_KEY_ID", "secretKey": "$SERVING_SECRET"}],
   "actions": ["Read:$models", "List:$models"]}
]}
END
