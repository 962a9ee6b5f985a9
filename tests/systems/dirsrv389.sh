#!/bin/bash
# Starts a 389 Directory Server (Debian's 389-ds-base) on 127.0.0.1: entryUUID, memberOf, referential integrity, unique logins,
# LDAPS by a certificate of an own authority.
#
#   dirsrv389.sh DIR PORT PASSWORD
#
# LDAPS listens on PORT + 1. Root, for an instance lives in /etc/dirsrv and /var/lib/dirsrv: this one is named muster-PORT
# and made anew. Installs the package once where it is missing, leaves DIR/dirsrv.PORT.pid, DIR/dirsrv.PORT.log and the
# authority's certificate as DIR/dirsrv.PORT.ca.pem, and prints the URL on standard output once the server answers. Fails
# where the server cannot be had. The password is that of cn=Directory Manager (no limits) and of
# cn=muster,ou=services,dc=example,dc=com (may write).
set -euo pipefail

dir=${1:?usage: dirsrv389.sh DIR PORT PASSWORD}
port=${2:?usage: dirsrv389.sh DIR PORT PASSWORD}
password=${3:?usage: dirsrv389.sh DIR PORT PASSWORD}
name="muster-$port"
config="/etc/dirsrv/slapd-$name"
log="$dir/dirsrv.$port.log"
PATH=$PATH:/usr/sbin

if ! command -v dscreate >/dev/null || ! command -v ldapmodify >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends 389-ds-base ldap-utils >&2
fi

mkdir -p "$dir"
rm -rf "$config" "/var/lib/dirsrv/slapd-$name" "/var/log/dirsrv/slapd-$name"
cat >"$dir/dirsrv.$port.inf" <<INF
[general]
config_version = 2
full_machine_name = localhost
strict_host_checking = False
start = False
[slapd]
instance_name = $name
port = $port
secure_port = $((port + 1))
root_password = $password
self_sign_cert = True
[backend-userroot]
suffix = dc=example,dc=com
sample_entries = no
create_suffix_entry = True
INF
chmod 600 "$dir/dirsrv.$port.inf"

# dscreate starts the server on every address, and by systemd: neither is wanted here. It talks to it through a socket in
# the file system, so it needs no network.
unshare -n /usr/bin/python3 - "$dir/dirsrv.$port.inf" >"$log" 2>&1 <<'PYTHON'
import runpy, sys
import lib389.paths
lib389.paths.Paths.with_systemd = property(lambda self: False)
sys.argv = ["dscreate", "from-file", sys.argv[1]]
runpy.run_path("/usr/sbin/dscreate", run_name="__main__")
PYTHON
cp "$config/ca.crt" "$dir/dirsrv.$port.ca.pem"

# While it is down: where it listens, and its plug-ins.
/usr/bin/python3 - "$config/dse.ldif" <<'PYTHON'
import sys
path = sys.argv[1]
entries = open(path).read().split("\n\n")
on = ("cn=MemberOf Plugin,", "cn=referential integrity postoperation,", "cn=attribute uniqueness,")
# Logins and addresses of today have more letters than that.
off = ("cn=7-bit check,",)
for at, entry in enumerate(entries):
    if entry.lstrip().startswith("dn: cn=config\n"):
        entries[at] = entry + "\nnsslapd-listenhost: 127.0.0.1\nnsslapd-securelistenhost: 127.0.0.1"
    if entry.lstrip().startswith(tuple(f"dn: {name}" for name in on)):
        entries[at] = entry.replace("nsslapd-pluginEnabled: off", "nsslapd-pluginEnabled: on")
    if entry.lstrip().startswith(tuple(f"dn: {name}" for name in off)):
        entries[at] = entry.replace("nsslapd-pluginEnabled: on", "nsslapd-pluginEnabled: off")
open(path, "w").write("\n\n".join(entries))
PYTHON

ns-slapd -D "$config" -i "$dir/dirsrv.$port.ns.pid" -d 0 >>"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$dir/dirsrv.$port.pid"

for _ in $(seq 300); do
    if ! kill -0 "$pid" 2>/dev/null; then
        break
    fi
    if ldapsearch -x -o nettimeout=2 -H "ldap://127.0.0.1:$port" -b "" -s base 1.1 >/dev/null 2>&1; then
        ldapmodify -x -a -H "ldap://127.0.0.1:$port" -D "cn=Directory Manager" -w "$password" >>"$log" 2>&1 <<LDIF
dn: ou=people,dc=example,dc=com
changetype: add
objectClass: organizationalUnit
ou: people

dn: ou=leavers,ou=people,dc=example,dc=com
changetype: add
objectClass: organizationalUnit
ou: leavers

dn: ou=groups,dc=example,dc=com
changetype: add
objectClass: organizationalUnit
ou: groups

dn: ou=services,dc=example,dc=com
changetype: add
objectClass: organizationalUnit
ou: services

dn: cn=muster,ou=services,dc=example,dc=com
changetype: add
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: muster
userPassword: $password

dn: dc=example,dc=com
changetype: modify
add: aci
aci: (targetattr = "* || nsAccountLock || nsUniqueId || entryUUID || modifyTimestamp")(version 3.0; acl "muster"; allow (all) userdn = "ldap:///cn=muster,ou=services,dc=example,dc=com";)
LDIF
        echo "ldap://127.0.0.1:$port"
        exit 0
    fi
    sleep 0.1
done
echo "389 Directory Server does not answer on 127.0.0.1:$port; its log:" >&2
tail -n 50 "$log" "/var/log/dirsrv/slapd-$name/errors" >&2 || true
kill "$pid" 2>/dev/null || true
exit 1
