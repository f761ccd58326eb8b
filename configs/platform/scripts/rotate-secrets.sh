#!/usr/bin/env bash
# Rotates a set of secrets of this deployment: all, symmetric, api-keys or database. Shows what it would do, and asks, unless --yes follows.
set -euo pipefail

case "${1:-}" in
  all) selector=(--all) ;;
  symmetric | api-keys | database) selector=(--group "$1") ;;
  *) echo "usage: rotate-secrets.sh all|symmetric|api-keys|database [options of keyturn rotate]" >&2 && exit 2 ;;
esac
exec npx --no keyturn rotate "${selector[@]}" "${@:2}"
