#!/bin/bash
# Starts a mail server (aiosmtpd, PyPI) on 127.0.0.1 that keeps what it gets: STARTTLS and a login are required, by a
# certificate of an own authority.
#
#   smtp.sh DIR PORT PASSWORD
#
# PORT + 1 is encrypted from the start. The login is `muster`. Installs it into DIR/aiosmtpd once, makes DIR/smtp.PORT anew
# (ca.pem, other-ca.pem of somebody else, box/ with a JSON file a mail), leaves DIR/smtp.PORT.pid and DIR/smtp.PORT.log, and
# prints the port on standard output once the server listens. Fails where the server cannot be had.
set -euo pipefail

dir=${1:?usage: smtp.sh DIR PORT PASSWORD}
port=${2:?usage: smtp.sh DIR PORT PASSWORD}
password=${3:?usage: smtp.sh DIR PORT PASSWORD}
version=1.4.6
venv="$dir/aiosmtpd"
home="$dir/smtp.$port"
log="$dir/smtp.$port.log"

mkdir -p "$dir"
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$version" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "aiosmtpd==$version" >&2
    echo "$version" >"$venv/installed"
fi

rm -rf "$home"
mkdir -p "$home/box"
for name in ca other-ca; do
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$home/$name.key" -out "$home/$name.pem" -days 30 \
        -subj "/CN=muster tests $name" 2>/dev/null
done
openssl req -newkey rsa:2048 -nodes -keyout "$home/server.key" -out "$home/server.csr" -subj /CN=localhost 2>/dev/null
openssl x509 -req -in "$home/server.csr" -CA "$home/ca.pem" -CAkey "$home/ca.key" -CAcreateserial -days 30 \
    -out "$home/server.pem" -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") 2>/dev/null

SMTP_PASSWORD=$password "$venv/bin/python" "$(dirname "${BASH_SOURCE[0]}")/smtp_sink.py" "$home" "$port" >"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$dir/smtp.$port.pid"

for _ in $(seq 300); do
    if ! kill -0 "$pid" 2>/dev/null; then
        break
    fi
    if grep -q listening "$log"; then
        echo "$port"
        exit 0
    fi
    sleep 0.1
done
echo "aiosmtpd $version does not listen on 127.0.0.1:$port; its log:" >&2
cat "$log" >&2
kill "$pid" 2>/dev/null || true
exit 1
