#!/bin/bash
# Starts OpenLDAP (Debian's slapd) on 127.0.0.1 with a database of its own: memberOf, referential integrity, password
# policy, unique logins, content synchronization; size limits for everybody but its administrator; StartTLS and LDAPS by a
# certificate of an own authority.
#
#   openldap.sh DIR PORT PASSWORD
#
# LDAPS listens on PORT + 1. Installs the package once where it is missing (as root), makes DIR/openldap.PORT anew,
# leaves DIR/openldap.PORT.pid and DIR/openldap.PORT.log, and prints the URL on standard output once the server answers.
# Fails where the server cannot be had. The password is that of cn=admin,dc=example,dc=com (no limits), of
# cn=muster,ou=services,dc=example,dc=com (may write; 500 entries without pages) and of
# cn=clipped,ou=services,dc=example,dc=com (may read; 300 entries, pages or not).
set -euo pipefail

dir=${1:?usage: openldap.sh DIR PORT PASSWORD}
port=${2:?usage: openldap.sh DIR PORT PASSWORD}
password=${3:?usage: openldap.sh DIR PORT PASSWORD}
home="$dir/openldap.$port"
log="$dir/openldap.$port.log"
tls_port=$((port + 1))
PATH=$PATH:/usr/sbin

if ! command -v slapd >/dev/null || ! command -v ldapsearch >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slapd ldap-utils openssl >&2
fi

rm -rf "$home"
mkdir -p "$home/db"

# A certificate authority, and a certificate for localhost.
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$home/ca.key" -out "$home/ca.pem" -days 30 -subj "/CN=muster tests" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout "$home/server.key" -out "$home/server.csr" -subj /CN=localhost 2>/dev/null
openssl x509 -req -in "$home/server.csr" -CA "$home/ca.pem" -CAkey "$home/ca.key" -CAcreateserial -days 30 \
    -out "$home/server.pem" -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") 2>/dev/null

cat >"$home/slapd.conf" <<CONF
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload refint
moduleload ppolicy
moduleload unique
moduleload syncprov
pidfile $home/slapd.pid
argsfile $home/slapd.args
TLSCACertificateFile $home/ca.pem
TLSCertificateFile $home/server.pem
TLSCertificateKeyFile $home/server.key
sizelimit size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited
access to attrs=userPassword by self write by anonymous auth by dn.exact="cn=muster,ou=services,dc=example,dc=com" write by * none
access to * by dn.exact="cn=muster,ou=services,dc=example,dc=com" write by users read by * none
database mdb
suffix dc=example,dc=com
rootdn cn=admin,dc=example,dc=com
rootpw $password
directory $home/db
maxsize 1073741824
dbnosync
limits dn.exact="cn=admin,dc=example,dc=com" size=unlimited time=unlimited
limits dn.exact="cn=clipped,ou=services,dc=example,dc=com" size.soft=300 size.hard=300 size.prtotal=300
index objectClass,uid,cn,mail,member,employeeNumber eq
index entryCSN,entryUUID,modifyTimestamp eq
overlay memberof
memberof-refint FALSE
overlay refint
refint_attributes member manager
refint_nothing cn=nobody,dc=example,dc=com
overlay unique
unique_uri ldap:///dc=example,dc=com?uid?sub
overlay ppolicy
overlay syncprov
syncprov-checkpoint 100 10
syncprov-sessionlog 10000
CONF

cat >"$home/base.ldif" <<LDIF
dn: dc=example,dc=com
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: ou=leavers,ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: leavers

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: ou=services,dc=example,dc=com
objectClass: organizationalUnit
ou: services

dn: cn=nobody,dc=example,dc=com
objectClass: organizationalRole
cn: nobody

dn: cn=muster,ou=services,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: muster
userPassword: $password

dn: cn=clipped,ou=services,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: clipped
userPassword: $password
LDIF
slapadd -q -f "$home/slapd.conf" -b dc=example,dc=com -l "$home/base.ldif" >"$log" 2>&1

slapd -f "$home/slapd.conf" -h "ldap://127.0.0.1:$port ldaps://127.0.0.1:$tls_port" -n "slapd-$port" -d 0 >>"$log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$dir/openldap.$port.pid"

for _ in $(seq 300); do
    if ! kill -0 "$pid" 2>/dev/null; then
        break
    fi
    if ldapsearch -x -o nettimeout=2 -H "ldap://127.0.0.1:$port" -b "" -s base 1.1 >/dev/null 2>&1; then
        echo "ldap://127.0.0.1:$port"
        exit 0
    fi
    sleep 0.1
done
echo "slapd does not answer on 127.0.0.1:$port; its log:" >&2
cat "$log" >&2
kill "$pid" 2>/dev/null || true
exit 1
