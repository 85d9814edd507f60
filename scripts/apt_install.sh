#!/bin/sh
# Installs the packages named, on Debian and Ubuntu.
set -eu
if ! command -v apt-get >/dev/null; then
    echo "there is no apt-get to install $* with" >&2
    exit 1
fi
as_root=
[ "$(id -u)" = 0 ] || as_root='sudo -n'
echo "installing $*"
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
