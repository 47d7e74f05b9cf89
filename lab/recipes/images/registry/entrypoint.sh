#!/bin/sh
# A configuration file alone means "serve it"; anything else is handed to the registry command as it is.
set -e
case "$1" in
  *.yaml | *.yml) set -- serve "$@" ;;
esac
case "$1" in
  serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
