# Write one backup to $WORK: the database in custom format, and the promotion ledgers.
#
# The database first: a ledger that is newer than the registry is repaired by the next promotion, one
# that is older is taken for cut and refused.
set -eu
stamp=$(date -u +%Y%m%dT%H%M%SZ)
home=$WORK/$stamp
mkdir -p "$home/ledger"
pg_dump --format=custom --no-owner --no-privileges --file="$home/mlflow.dump"
pg_restore --list "$home/mlflow.dump" >/dev/null # a dump that cannot be read is no backup
for ledger in "$LEDGERS"/*.jsonl; do
  [ -f "$ledger" ] || continue
  lines=$(wc -l <"$ledger") # whole ones: a promotion may be writing the next
  head -n "$lines" "$ledger" >"$home/ledger/${ledger##*/}"
done
printf '%s\n' "$stamp" >"$WORK/stamp"
echo "dumped $stamp: $(wc -c <"$home/mlflow.dump") bytes, $(ls "$home/ledger" | wc -l) ledgers"
