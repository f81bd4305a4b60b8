#!/usr/bin/env bash
# Make the virtual environment, or bring it up to date: scripts/venv.sh <folder>
#
# Takes the first Python of 3.11 or later (PYTHON=... names another one). On Debian and Ubuntu, as root, it installs the
# package python3-venv when that is missing; otherwise it says what to do.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}

suits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3 python; do
        if command -v "$candidate" >/dev/null && suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Celeriac needs Python 3.11 or later, and none is on the PATH. Install one, or name it: PYTHON=/path/to/python make venv" >&2
    return 1
}

has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

install_venv_package() {
    local python=$1 version
    version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "$python cannot make virtual environments. On Debian and Ubuntu: sudo apt-get install $version-venv" >&2
        return 1
    fi
    echo "Installing $version-venv ..."
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$version-venv" >/dev/null
}

if [ ! -x "$venv/bin/python" ] || ! suits "$venv/bin/python"; then
    python=$(find_python)
    has_venv "$python" || install_venv_package "$python"
    echo "Making $venv with $("$python" --version) ..."
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e '.[dev]'
touch "$venv/.installed"
