#!/bin/bash
# Starts scim2-server (PyPI), a strict in-memory SCIM 2.0 server, on 127.0.0.1.
#
#   scim2_server.sh DIR PORT TOKEN [privileged-access]
#
# With `privileged-access` it also has containers, privileged data and permissions on both.
# Installs it into DIR/scim2-server once, leaves DIR/scim2-server.PORT.pid and DIR/scim2-server.PORT.log, and prints
# the base URL on standard output once the server answers. Fails where the server cannot be had.
set -euo pipefail

dir=${1:?usage: scim2_server.sh DIR PORT TOKEN [privileged-access]}
port=${2:?usage: scim2_server.sh DIR PORT TOKEN [privileged-access]}
token=${3:?usage: scim2_server.sh DIR PORT TOKEN [privileged-access]}
version=0.8.3
venv="$dir/scim2-server"
log="$dir/scim2-server.$port.log"

mkdir -p "$dir"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$version" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "scim2-server==$version" >&2
    echo "$version" >"$venv/installed"
fi

more=()
if [ "${4:-}" = privileged-access ]; then
    made="$dir/scim2-server.$port.schemas"
    "$venv/bin/python" "$(dirname "${BASH_SOURCE[0]}")/pam_schemas.py" "$made" >&2
    more=(--schema "$made/schemas.json" --resource-type "$made/resource-types.json"
        --service-provider-config "$made/config.json")
fi

"$venv/bin/scim2-server" --hostname 127.0.0.1 --port "$port" --bearer-token="$token" "${more[@]}" >"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$dir/scim2-server.$port.pid"

for _ in $(seq 300); do
    if ! kill -0 "$pid" 2>/dev/null; then
        break
    fi
    if curl -sf -o /dev/null -m 2 -H "Authorization: Bearer $token" "http://127.0.0.1:$port/v2/ServiceProviderConfig"; then
        echo "http://127.0.0.1:$port/v2"
        exit 0
    fi
    sleep 0.1
done
echo "scim2-server $version does not answer on 127.0.0.1:$port; its log:" >&2
cat "$log" >&2
kill "$pid" 2>/dev/null || true
exit 1
