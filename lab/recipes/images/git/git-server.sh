#!/bin/sh
# Have the repositories, then serve them.
set -eu
for name in ${GIT_REPOSITORIES}; do
    path="/srv/git/${name}.git"
    [ -f "${path}/HEAD" ] || git init --quiet --bare --initial-branch=main "${path}"
    git -C "${path}" config core.hooksPath /usr/local/share/git-hooks
    # A clone without all of its history may push, too.
    git -C "${path}" config receive.shallowUpdate true
    git -C "${path}" config receive.denyDeleteCurrent ignore
    git -C "${path}" config gc.auto 200
done
exec lighttpd -D -f /etc/lighttpd/git.conf
