#!/usr/bin/env bash
# Rotates a set of secrets of this deployment: all, symmetric, api-keys or database. Shows what it would do, and asks, unless --yes follows.
set -euo pipefail

case "${1:-}" in
  all) selector=(--all) ;;
  symmetric | api-keys | database) selector=(--group "$1") ;;
  *) echo "usage: rotate-secrets.sh all|symmetric|api-keys|database [options of keyturn rotate]" >&2 && exit 2 ;;
esac
# the keyturn of the project that this script lies in, from wherever it is called
project=$(cd -- "$(dirname -- "$(realpath -- "${BASH_SOURCE[0]}")")" && npm prefix)
exec npx --no --prefix "$project" keyturn rotate "${selector[@]}" "${@:2}"
