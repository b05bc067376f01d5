#!/bin/sh
# Wait until a Job, RayJob or TrainJob ends: 0 when it succeeded, 1 with its log when it failed, 124
# when it still ran after SECONDS (a day, if none are said). `kubectl wait` knows one end only.
# A RayJob whose job FAILED goes on while attempts are left (Retrying); one that was STOPPED does not.
#   k8s/wait.sh job/unstained-restore [SECONDS]
set -eu
what=$1
left=${2:-86400}
fields='{.status.jobStatus} {.status.jobDeploymentStatus} {.status.conditions[?(@.status=="True")].type}'
while :; do
  state=$(kubectl get "$what" -o jsonpath="$fields")
  case " $state " in
    *" STOPPED "* | *" Failed "* | *" ValidationFailed "*)
      echo "error: $what failed ($state)" >&2
      case $what in
        job/*) kubectl logs "$what" --all-containers --tail=50 >&2 || true ;;
        *) kubectl describe "$what" >&2 || true ;;
      esac
      exit 1
      ;;
    *" Complete "*)
      echo "$what is done"
      exit 0
      ;;
  esac
  if [ "$left" -le 0 ]; then
    echo "error: $what still runs ($state)" >&2
    exit 124
  fi
  left=$((left - 5))
  sleep "${PAUSE:-5}"
done
