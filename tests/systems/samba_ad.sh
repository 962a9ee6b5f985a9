#!/bin/bash
# Starts a Samba Active Directory domain controller of the throw-away domain samdom.example.com on 127.0.0.1.
#
#   samba_ad.sh DIR PASSWORD
#
# Its ports are fixed (389, 636, 88, 135, 464 …): root, and one of them a machine. Installs the packages once where they
# are missing, makes DIR/samba anew, leaves DIR/samba.pid and DIR/samba.log, and prints the URL on standard output once
# the server answers. Fails where the server cannot be had. The password is that of
# Administrator@samdom.example.com; the certificate is signed by DIR/samba/ca.pem.
set -euo pipefail

dir=${1:?usage: samba_ad.sh DIR PASSWORD}
password=${2:?usage: samba_ad.sh DIR PASSWORD}
home="$dir/samba"
log="$dir/samba.log"
PATH=$PATH:/usr/sbin

if ! command -v samba >/dev/null || ! command -v samba-tool >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends samba samba-ad-dc samba-ad-provision \
        samba-dsdb-modules winbind python3-samba krb5-user ldap-utils openssl >&2
fi

rm -rf "$home"
mkdir -p "$home"

# The certificate that Samba makes for itself names no host in the way that TLS libraries of today want.
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$home/ca.key" -out "$home/ca.pem" -days 30 -subj "/CN=muster tests" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout "$home/server.key" -out "$home/server.csr" -subj /CN=dc1.samdom.example.com 2>/dev/null
openssl x509 -req -in "$home/server.csr" -CA "$home/ca.pem" -CAkey "$home/ca.key" -CAcreateserial -days 30 \
    -out "$home/server.pem" -extfile <(echo "subjectAltName=DNS:localhost,DNS:dc1.samdom.example.com,IP:127.0.0.1") 2>/dev/null
chmod 600 "$home/server.key"

samba-tool domain provision --targetdir="$home" --realm=SAMDOM.EXAMPLE.COM --domain=SAMDOM --server-role=dc \
    --dns-backend=NONE --adminpass="$password" --host-name=dc1 --host-ip=127.0.0.1 --use-rfc2307 \
    --option="interfaces=127.0.0.1/8" --option="bind interfaces only=yes" \
    --option="server services=ldap, kdc, rpc, drepl" --option="log file=$home/log.%m" \
    --option="tls keyfile=$home/server.key" --option="tls certfile=$home/server.pem" \
    --option="tls cafile=$home/ca.pem" >"$log" 2>&1

samba -F --no-process-group -M single -s "$home/etc/smb.conf" -d 1 >>"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$dir/samba.pid"

for _ in $(seq 300); do
    if ! kill -0 "$pid" 2>/dev/null; then
        break
    fi
    if LDAPTLS_REQCERT=never ldapsearch -x -o nettimeout=2 -H ldaps://127.0.0.1 -b "" -s base 1.1 >/dev/null 2>&1; then
        echo "ldaps://localhost:636"
        exit 0
    fi
    sleep 0.1
done
echo "samba does not answer on 127.0.0.1:636; its log:" >&2
tail -n 50 "$log" >&2
kill "$pid" 2>/dev/null || true
exit 1
