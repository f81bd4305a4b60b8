#!/usr/bin/env bash
# Look for the programs that some tests start for themselves (redis-server; openssl for its TLS; rabbitmq-server), and
# install what is missing where that is possible: on Debian and Ubuntu, as root. Nothing is started here.
set -euo pipefail

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v openssl >/dev/null || missing+=(openssl)
# In /usr/sbin, which is not on the PATH of everybody.
[ -x /usr/sbin/rabbitmq-server ] || command -v rabbitmq-server >/dev/null || missing+=(rabbitmq-server)
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${missing[*]} (no service is started) ..."
    # With this policy Debian's packages do not start their services. One that is there already stays as it is.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    apt-get update -qq
    if DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
        exit 0
    fi
fi
echo "Not installed: ${missing[*]}. Tests that need them are skipped. On Debian and Ubuntu: sudo apt-get install ${missing[*]}" >&2
