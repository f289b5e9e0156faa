#!/usr/bin/env bash
# Makes .venv/ in the checkout and installs the project into it, in a way that its sources can be edited.
# What was installed is remembered in a stamp: the second run does nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stamp=.venv/installed.txt
inputs=(requirements.txt requirements-dev.txt pyproject.toml)

say() { echo "environment: $*"; }

fail() {
    echo "error: $*" >&2
    exit 2
}

find_python() {
    local candidate
    for candidate in python3.11 python3 python3.12 python3.13; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer found; install it, for example: apt-get install python3.11 python3.11-venv"
}

describe_installation() {
    pwd # scripts such as .venv/bin/stylize name the folder they were installed in
    cksum "${inputs[@]}"
}

works() { .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

moved() { [[ -f $stamp && $(head -n 1 "$stamp") != "$PWD" ]]; }

if [[ -x .venv/bin/stylize && -f $stamp ]] && works && [[ $(cat "$stamp") == "$(describe_installation)" ]]; then
    say "up to date"
    exit 0
fi

if ! works || moved; then
    python=$(find_python)
    say "making .venv/ with $("$python" --version)"
    "$python" -m venv --clear .venv || fail "$python cannot make an environment; try: apt-get install python3-venv"
fi
rm -f "$stamp"

say "installing the requirements (5 GB with PyTorch; half a minute to several minutes)"
arguments=(--requirement requirements.txt --requirement requirements-dev.txt --editable .)
export PIP_DISABLE_PIP_VERSION_CHECK=1
if .venv/bin/python -m pip install --quiet uv &&
    .venv/bin/python -m uv pip install --python .venv/bin/python "${arguments[@]}"; then
    :
else
    say "uv does not work here, going on with pip (slower)"
    .venv/bin/python -m pip install "${arguments[@]}" || fail "the installation failed; see above"
fi
# The package leaves out data/, training/ and scripts/, which a notebook or a script elsewhere may use in this environment.
pwd >"$(echo .venv/lib/python3*/site-packages)/checkout.pth"
describe_installation >"$stamp"
say "installed; the command is .venv/bin/stylize"
