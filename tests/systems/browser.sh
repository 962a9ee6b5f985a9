#!/bin/bash
# Puts together what drives the review page: Debian's Chromium, playwright-core and axe-core (npm, as the lock file says).
#
#   browser.sh DIR
#
# Installs the packages into DIR/browser once, and prints the script that drives the page. Fails where a browser cannot be
# had.
set -euo pipefail

dir=${1:?usage: browser.sh DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home="$dir/browser"

if ! /usr/bin/chromium --version >&2; then
    echo "browser.sh: /usr/bin/chromium is missing; install it: apt-get install --no-install-recommends chromium" >&2
    exit 1
fi
mkdir -p "$home"
if ! cmp -s "$here/browser/package-lock.json" "$home/installed"; then
    cp "$here/browser/package.json" "$here/browser/package-lock.json" "$home/"
    (cd "$home" && npm ci --no-audit --no-fund --loglevel=error >&2)
    cp "$here/browser/package-lock.json" "$home/installed"
fi
cp "$here/browser/"*.mjs "$home/"
echo "$home/drive.mjs"
