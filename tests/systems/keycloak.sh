#!/bin/bash
# Starts Keycloak (its distribution archive, fetched by Maven) on 127.0.0.1, in development mode with a database in
# memory: nothing outlives the process.
#
#   keycloak.sh DIR PORT SECRET
#
# Installs into DIR/keycloak once, leaves DIR/keycloak.PORT.pid and DIR/keycloak.PORT.log, and prints the base URL on
# standard output once the realm `corp` is there. SECRET is the password of `admin` in the realm `master`, and the
# secret of the clients of `corp` (keycloak_realm.json): `muster` may read and write users, `muster-reader` may read
# them, `muster-nobody` may nothing. Fails where the server cannot be had.
set -euo pipefail

dir=${1:?usage: keycloak.sh DIR PORT SECRET}
port=${2:?usage: keycloak.sh DIR PORT SECRET}
secret=${3:?usage: keycloak.sh DIR PORT SECRET}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=26.7.3
home="$dir/keycloak"
log="$dir/keycloak.$port.log"
url="http://127.0.0.1:$port"

if [ "$(cat "$home/installed" 2>/dev/null)" != "$version" ]; then
    rm -rf "$home"
    mkdir -p "$home"
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
        -Dartifact="org.keycloak:keycloak-quarkus-dist:$version:tar.gz" -DoutputDirectory="$home" >&2
    tar -xzf "$home/keycloak-quarkus-dist-$version.tar.gz" -C "$home" --strip-components=1
    rm "$home/keycloak-quarkus-dist-$version.tar.gz"
    echo "$version" >"$home/installed"
fi

# kc.sh hands the signal that ends it on to the server.
JAVA_OPTS_KC_HEAP="-Xms128m -Xmx768m" KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD="$secret" \
    "$home/bin/kc.sh" start-dev --http-host=127.0.0.1 --http-port="$port" --db=dev-mem --cache=local \
    --features=scim-api --log-level=warn >"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$dir/keycloak.$port.pid"

fail() {
    echo "keycloak: $1 on 127.0.0.1:$port; its log:" >&2
    tail -n 50 "$log" >&2
    kill "$pid" 2>/dev/null || true
    exit 1
}

# Secrets go to curl through a file that only its owner reads, not through the list of processes.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 700 "$work"
printf 'grant_type=password&client_id=admin-cli&username=admin&password=%s' "$secret" >"$work/login"

token=
for _ in $(seq 1200); do
    kill -0 "$pid" 2>/dev/null || fail "it ended"
    if curl -sf -m 5 -d "@$work/login" "$url/realms/master/protocol/openid-connect/token" >"$work/token" 2>/dev/null; then
        token=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])' <"$work/token")
        break
    fi
    sleep 0.25
done
[ -n "$token" ] || fail "it does not answer"

sed -e "s/@REALM@/corp/g" -e "s/@SECRET@/$secret/g" "$here/keycloak_realm.json" >"$work/realm.json"
printf 'header = "Authorization: Bearer %s"\n' "$token" >"$work/curl"
curl -sf -m 60 -K "$work/curl" -H "Content-Type: application/json" -d "@$work/realm.json" "$url/admin/realms" >&2 ||
    fail "the realm cannot be made"
echo "$url"
