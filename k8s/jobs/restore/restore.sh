# Put the backup in $WORK back: the database in one transaction, then the promotion ledgers, each whole
# or not at all. A ledger that differs is kept beside its successor.
#
# The schema is dropped whole, not table by table: what a newer server added must not stay.
set -eu
pg_restore --no-owner --no-privileges --file="$WORK/mlflow.sql" "$WORK/mlflow.dump"
psql --quiet --no-psqlrc --single-transaction --set=ON_ERROR_STOP=1 \
  --command='DROP SCHEMA public CASCADE' \
  --command='CREATE SCHEMA public AUTHORIZATION pg_database_owner' \
  --file="$WORK/mlflow.sql" >/dev/null
for ledger in "$WORK"/ledger/*.jsonl; do
  [ -f "$ledger" ] || continue
  place=$LEDGERS/${ledger##*/}
  cp "$ledger" "$place.part"
  if [ -f "$place" ] && ! cmp -s "$ledger" "$place"; then
    cp "$place" "$place.before-$(date -u +%Y%m%dT%H%M%SZ)"
  fi
  mv "$place.part" "$place"
done
echo "restored"
