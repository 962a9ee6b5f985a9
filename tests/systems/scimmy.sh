#!/bin/bash
# Starts a SCIM 2.0 server made of scimmy, scimmy-routers and express (npm) on 127.0.0.1: a lenient one with quirks.
#
#   scimmy.sh DIR PORT TOKEN
#
# Installs the packages into DIR/scimmy once, leaves DIR/scimmy.PORT.pid and DIR/scimmy.PORT.log, and prints the base
# URL on standard output once the server answers. Fails where the server cannot be had. With SCIMMY_PAGING=raw in the
# environment the server keeps its own reading of startIndex and count, which ignores both.
set -euo pipefail

dir=${1:?usage: scimmy.sh DIR PORT TOKEN}
port=${2:?usage: scimmy.sh DIR PORT TOKEN}
token=${3:?usage: scimmy.sh DIR PORT TOKEN}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
packages=(scimmy@1.3.5 scimmy-routers@1.3.2 express@5)
home="$dir/scimmy"
log="$dir/scimmy.$port.log"

mkdir -p "$home"
if [ "$(cat "$home/installed" 2>/dev/null)" != "${packages[*]}" ]; then
    rm -rf "$home"
    mkdir -p "$home"
    echo '{ "private": true, "type": "module" }' >"$home/package.json"
    (cd "$home" && npm install --no-audit --no-fund --loglevel=error "${packages[@]}" >&2)
    echo "${packages[*]}" >"$home/installed"
fi

cp "$here/scimmy_server.mjs" "$home/server.mjs"
PORT="$port" TOKEN="$token" node "$home/server.mjs" >"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$dir/scimmy.$port.pid"

for _ in $(seq 300); do
    if ! kill -0 "$pid" 2>/dev/null; then
        break
    fi
    if curl -sf -o /dev/null -m 2 -H "Authorization: Bearer $token" "http://127.0.0.1:$port/scim/v2/ServiceProviderConfig"; then
        echo "http://127.0.0.1:$port/scim/v2"
        exit 0
    fi
    sleep 0.1
done
echo "scimmy does not answer on 127.0.0.1:$port; its log:" >&2
cat "$log" >&2
kill "$pid" 2>/dev/null || true
exit 1
