#!/bin/sh
# Arguments that begin with a hyphen are the server's.
set -eu
case "${1:-}" in
-*) set -- redis-server "$@" ;;
esac
exec "$@"
