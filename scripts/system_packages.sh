#!/usr/bin/env bash
# Installs the Debian packages that some tests need: the corpus renderer, and a browser for the pages. Without them those
# tests are skipped.
set -euo pipefail

packages=(mma fluidsynth fluid-soundfont-gm timgm6mb-soundfont musescore-general-soundfont-small chromium)

say() { echo "system packages: $*"; }

leave_out() {
    say "$1; the tests that render songs or open pages will be skipped. Install by hand: apt-get install ${missing[*]}"
    exit 0
}

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
    [[ $status == "install ok installed" ]] || missing+=("$package")
done

if [[ ${#missing[@]} -eq 0 ]]; then
    say "all there"
    exit 0
fi
command -v apt-get >/dev/null || leave_out "${missing[*]} not found, and no apt-get"
[[ $(id -u) -eq 0 ]] || leave_out "${missing[*]} not found, and only root may install"

export DEBIAN_FRONTEND=noninteractive
install() { apt-get install --yes --quiet --quiet --no-install-recommends "${missing[@]}" >/dev/null; }
say "installing ${missing[*]} ..."
# A machine that never ran apt-get update knows no package, one that ran it long ago asks for versions that are gone.
install 2>/dev/null || { apt-get update --quiet --quiet && install; } || leave_out "apt-get failed"
say "installed"
