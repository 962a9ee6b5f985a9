#!/bin/sh
# Proves the built-in SCIM server with scim2-tester, a conformance test that others maintain: every check must be green.
# Usage: tests/systems/scim2_tester.sh [FOLDER]
#   FOLDER keeps the Python environment for the next time, by default $MUSTER_SYSTEMS/scim2-tester; without either a
#   temporary one is made and removed.
#   MUSTER names the program, by default target/debug/muster.
# Needs python3 with venv, and the network the first time.
set -eu
cd "$(dirname "$0")/../.."
muster=${MUSTER:-target/debug/muster}
scratch=$(mktemp -d)
folder=${1:-${MUSTER_SYSTEMS:-$scratch}/scim2-tester}
packages='scim2-tester==0.5.2 scim2-cli==0.6.0 scim2-models==0.12.3'
server=
finish() {
    status=$?
    trap - EXIT
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$scratch"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$(cat "$folder/installed" 2>/dev/null)" != "$packages" ]; then
    if [ -e "$folder" ] && [ ! -e "$folder/pyvenv.cfg" ]; then
        echo "$folder is there and is no Python environment; name another folder" >&2
        exit 1
    fi
    rm -rf "$folder"
    python3 -m venv "$folder"
    # shellcheck disable=SC2086 # several words on purpose
    "$folder/bin/pip" install --quiet --disable-pip-version-check $packages >&2
    echo "$packages" >"$folder/installed"
fi

SANDBOX_TOKEN=conformance-$$
export SANDBOX_TOKEN
"$muster" sandbox --database "$scratch/sandbox.db" --token-from env:SANDBOX_TOKEN \
    --port-file "$scratch/port" >"$scratch/address" &
server=$!
tries=0
while [ ! -s "$scratch/port" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$server" 2>/dev/null; then
        echo "the sandbox did not start" >&2
        exit 1
    fi
    sleep 0.1
done

status=0
SCIM_CLI_HEADERS="Authorization: Bearer $SANDBOX_TOKEN" \
    "$folder/bin/scim2" -u "$(head -n 1 "$scratch/address")" test -v >"$scratch/report" || status=$?
green=$(grep -c '^SUCCESS' "$scratch/report" || true)
red=$(grep -cE '^(ERROR|CRITICAL|DEVIATION)' "$scratch/report" || true)
echo "scim2-tester: $green green, $red red"
if [ "$status" -ne 0 ] || [ "$red" -ne 0 ] || [ "$green" -lt 100 ]; then
    grep -A 3 -E '^(ERROR|CRITICAL|DEVIATION)' "$scratch/report" | cut -c 1-400 >&2 || tail -n 20 "$scratch/report" >&2
    exit 1
fi
