#!/bin/bash
# Makes a database cluster where there is none, then becomes the server.
#
#   POSTGRES_PASSWORD      the superuser's password; needed for a new cluster (or POSTGRES_HOST_AUTH_METHOD=trust)
#   POSTGRES_USER          the superuser (postgres)
#   POSTGRES_DB            a database to create (the superuser's name)
#   POSTGRES_INITDB_ARGS   more arguments for initdb
#   each of the first three may be given as a file instead: POSTGRES_PASSWORD_FILE, ...
#   /docker-entrypoint-initdb.d   *.sh, *.sql and *.sql.gz, run once, by name, in a new cluster
set -euo pipefail
shopt -s nullglob

# file_env NAME DEFAULT: NAME from its own variable or from the file that NAME_FILE names.
file_env() {
  local name=$1 file="${1}_FILE"
  if [[ -n "${!name:-}" && -n "${!file:-}" ]]; then
    echo "error: both ${name} and ${file} are set, but only one can be" >&2
    exit 1
  fi
  if [[ -n "${!file:-}" ]]; then
    printf -v "${name}" '%s' "$(<"${!file}")"
  else
    printf -v "${name}" '%s' "${!name:-$2}"
  fi
  export "${name?}"
  unset "${file}"
}

# initdb and psql ask who the user is; an arbitrary uid has no name but the one given here.
name_user() {
  getent passwd "$(id -u)" > /dev/null && return
  local library
  for library in /usr/lib/*/libnss_wrapper.so; do
    NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
    export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD=$library
    echo "postgres:x:$(id -u):$(id -g):PostgreSQL:/tmp:/bin/false" > "${NSS_WRAPPER_PASSWD}"
    echo "postgres:x:$(id -g):" > "${NSS_WRAPPER_GROUP}"
  done
}

run_script() {
  echo "running $1"
  case "$1" in
    *.sh) if [[ -x $1 ]]; then "$1"; else . "$1"; fi ;;
    *.sql) query --dbname "${POSTGRES_DB}" --file "$1" ;;
    *.sql.gz) gunzip --stdout "$1" | query --dbname "${POSTGRES_DB}" ;;
    *) echo "ignoring $1" ;;
  esac
}

query() {
  PGPASSWORD=${POSTGRES_PASSWORD} psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER}" --no-password "$@"
}

# only_tells ARGUMENTS: whether the server would only say something and end, which needs no database.
only_tells() {
  local word
  for word in "$@"; do
    case "${word}" in
      '-?' | --help | --describe-config | -V | --version) return 0 ;;
    esac
  done
  return 1
}

# Leftovers of an interrupted start are of no use: nobody ever used that cluster. Whatever else is there is somebody's.
clear_leftovers() {
  if [[ -d ${PGDATA}/.initializing ]]; then
    # The folder that says so goes last, so that this can be interrupted too.
    find "${PGDATA}" -mindepth 1 -maxdepth 1 ! -name .initializing ! -name lost+found -exec rm -rf {} +
    rm -rf "${PGDATA}/.initializing"
  fi
  if [[ -n $(find "${PGDATA}" -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit) ]]; then
    echo "error: ${PGDATA} holds files, but no database; PGDATA has to name an empty folder" >&2
    exit 1
  fi
}

# A new cluster is made beside its place and renamed last: one that was interrupted never looks like a database.
make_cluster() {
  if [[ -z ${POSTGRES_PASSWORD} && ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]]; then
    echo "error: a new database needs POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE)" >&2
    exit 1
  fi
  local place=${PGDATA} new="${PGDATA}/.initializing" args=()
  if [[ -n ${POSTGRES_INITDB_ARGS:-} ]]; then
    read -ra args <<< "${POSTGRES_INITDB_ARGS}"
  fi
  initdb --pgdata "${new}" --username "${POSTGRES_USER}" --pwfile <(printf '%s\n' "${POSTGRES_PASSWORD}") "${args[@]}"
  # Clients come from other containers.
  echo "listen_addresses = '*'" >> "${new}/postgresql.conf"
  # The host lines come after initdb's, which trust loopback.
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "${new}/pg_hba.conf"
  # Reached through the socket only, so that nobody takes it for the server it will be.
  pg_ctl --pgdata "${new}" --options "-c listen_addresses='' -c logging_collector=off" --wait --silent start
  [[ ${POSTGRES_DB} == postgres ]] || query --dbname postgres --set name="${POSTGRES_DB}" <<< 'CREATE DATABASE :"name";'
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    run_script "${script}"
  done
  pg_ctl --pgdata "${new}" --mode fast --wait --silent stop
  # PG_VERSION goes last: it is what says that the cluster is complete.
  local item
  for item in "${new}"/*; do
    [[ ${item##*/} == PG_VERSION ]] || mv "${item}" "${place}/"
  done
  sync
  mv "${new}/PG_VERSION" "${place}/"
  rm -rf "${new}"
}

main() {
  if [[ ${1:-} == -* ]]; then
    set -- postgres "$@"
  fi
  if [[ ${1:-} != postgres ]] || only_tells "$@"; then
    exec "$@"
  fi
  if [[ $(id -u) == 0 ]]; then
    mkdir -p "${PGDATA}"
    chown -R postgres:postgres "${PGDATA}" /var/run/postgresql
    exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
  fi
  umask 0077
  name_user
  mkdir -p "${PGDATA}"
  # The image's own folder is open to every user; the server accepts only one that is not.
  if [[ -O ${PGDATA} ]]; then
    chmod 0700 "${PGDATA}"
  fi
  if [[ ! -s ${PGDATA}/PG_VERSION ]]; then
    clear_leftovers
    file_env POSTGRES_PASSWORD ''
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "${POSTGRES_USER}"
    make_cluster
  fi
  # The server needs none of it.
  unset POSTGRES_PASSWORD POSTGRES_INITDB_ARGS
  exec "$@"
}

main "$@"
