#!/usr/bin/env bash
# Stands in for kubectl: logs the call, renders the folders that it is given, and answers questions.
# STATE is what a job's status prints; it is done where nothing is said. FAILING is the call that fails.
set -eu
echo "kubectl $*" >>"$LOG"
[ "kubectl $*" != "${FAILING-}" ] || exit 3
previous=
for word in "$@"; do
  case "$previous $word" in
    "-k k8s/kubeflow"*) ;;
    "-k "*) "$REAL_KUBECTL" kustomize "$word" >/dev/null ;;
    "-f -") cat >/dev/null ;;
    "-f k8s/"*) [ -f "$word" ] ;;
  esac
  previous=$word
done
case " $* " in
  *" --from-env-file=/dev/stdin "*)
    given=$(cat)
    echo "$4: $(sed -n 's/^\([A-Za-z_]*\)=..*/\1/p' <<<"$given" | tr '\n' ' ')" >>"$LOG"
    echo "{}"
    ;;
  *" --dry-run=client "*) echo "{}" ;;
  *" --ignore-not-found -o name "*) ;; # nothing is there yet
  *" -o name "*) echo pod/head ;;
  *volumeName*) echo pvc-1 ;;
  *jobStatus*) printf '%s\n' "${STATE-  Complete}" ;;
  *" tar -c "*) tar -c --files-from=/dev/null ;;
  *" exec -i "*" mkdir "*) ;;
  *" exec -i "*) cat >/dev/null ;;
esac
