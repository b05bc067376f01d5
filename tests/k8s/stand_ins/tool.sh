#!/usr/bin/env bash
# Stands in for a tool of the runbook: logs the call and prints what the page goes on with.
# FAILING is the call that fails.
set -eu
name=${0##*/}
echo "$name $*" >>"$LOG"
[ "$name $*" != "${FAILING-}" ] || exit 3
case "$name $1" in
  "openssl rand") echo "0123456789abcdef" ;;
  "docker buildx") echo "sha256:$(printf '5e%.0s' {1..32})" ;;
  "docker inspect") echo "${*: -1}@sha256:$(printf '5e%.0s' {1..32})" ;;
  "git rev-parse") echo "0123456" ;;
  "git clone") mkdir -p "${*: -1}" ;;
  "unstained make-keys") mkdir -p "$2" && touch "$2/signing-key.pem" "$2/verify-key.pem" ;;
esac
