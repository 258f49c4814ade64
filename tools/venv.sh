#!/bin/sh
# Makes the project's virtual environment: pyllb, editable, with what its tests need. Usage: venv.sh PYTHON DIR
set -eu
python=$1
venv=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "pyllb needs Python 3.11 or newer; '$python' is not that. Name another: make PYTHON=python3.12 ..." >&2
    exit 1
fi
# Debian ships python3 without the module that makes environments.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "installing python3-venv: '$python' cannot make virtual environments by itself" >&2
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv
fi
echo "making $venv and installing pyllb with its development tools into it" >&2
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --editable '.[dev]'
