# Add Kubeflow Pipelines' databases to the backup in $WORK: pipelines, runs, recurring runs.
set -eu
if [ -z "${MYSQL_USER:-}" ]; then
  echo "there is no Secret mysql-secret, so no Kubeflow Pipelines here: nothing dumped"
  exit 0
fi
home=$WORK/$(cat "$WORK/stamp")
own="'information_schema', 'performance_schema', 'mysql', 'sys'"
databases=$(mysql --host="$MYSQL_HOST" --user="$MYSQL_USER" --batch --skip-column-names \
  --execute="SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT IN ($own)")
# shellcheck disable=SC2086  # one word a database
mysqldump --host="$MYSQL_HOST" --user="$MYSQL_USER" --single-transaction --no-tablespaces \
  --routines --add-drop-database --databases $databases >"$home/kubeflow.sql"
tail -n 1 "$home/kubeflow.sql" | grep -q '^-- Dump completed' # one that was cut off is no backup
echo "dumped Kubeflow's databases:" $databases
