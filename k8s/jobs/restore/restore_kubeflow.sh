# Put Kubeflow Pipelines' databases back, where the backup in $WORK holds some.
set -eu
if [ ! -f "$WORK/kubeflow.sql" ]; then
  echo "the backup holds no databases of Kubeflow"
  exit 0
fi
if [ -z "${MYSQL_USER:-}" ]; then
  echo "error: the backup holds Kubeflow's databases, and there is no Secret mysql-secret here" >&2
  exit 1
fi
mysql --host="$MYSQL_HOST" --user="$MYSQL_USER" <"$WORK/kubeflow.sql"
echo "restored Kubeflow's databases; restart its deployments"
