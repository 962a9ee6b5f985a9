#!/bin/bash
# Starts nginx (Debian) as a gateway before a SCIM server on 127.0.0.1: TLS by a certificate of an own authority, 429 with
# Retry-After beyond 80 requests a second, 413 beyond 2 kB, and every hundredth request or so lost in a server behind it
# that is too slow, which the gateway answers with 504 after a second. POST /hook is taken by the gateway itself, and
# DIR/nginx.PORT/hooks.log says by which signature.
#
#   nginx.sh DIR PORT UPSTREAM_PORT
#
# The slow server listens on PORT + 1. Installs the package once where it is missing (as root), makes DIR/nginx.PORT anew
# with ca.pem and access.log in it, leaves DIR/nginx.PORT.pid, and prints the address on standard output once it answers.
# Fails where nginx cannot be had.
set -euo pipefail

dir=${1:?usage: nginx.sh DIR PORT UPSTREAM_PORT}
port=${2:?usage: nginx.sh DIR PORT UPSTREAM_PORT}
upstream=${3:?usage: nginx.sh DIR PORT UPSTREAM_PORT}
home="$dir/nginx.$port"
PATH=$PATH:/usr/sbin

if ! command -v nginx >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light openssl >&2
fi

rm -rf "$home"
mkdir -p "$home"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$home/ca.key" -out "$home/ca.pem" -days 30 -subj "/CN=muster tests" 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout "$home/server.key" -out "$home/server.csr" -subj /CN=localhost 2>/dev/null
openssl x509 -req -in "$home/server.csr" -CA "$home/ca.pem" -CAkey "$home/ca.key" -CAcreateserial -days 30 \
    -out "$home/server.pem" -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") 2>/dev/null

cat >"$home/nginx.conf" <<CONF
daemon on;
pid $dir/nginx.$port.pid;
error_log $home/error.log;
worker_processes 1;
user root;
events { worker_connections 512; }
http {
    log_format told '\$status \$request_method \$uri';
    log_format hook '\$request_method \$ssl_protocol \$content_length \$http_muster_signature';
    access_log $home/access.log told;
    client_body_temp_path $home/body;
    proxy_temp_path $home/proxy;
    fastcgi_temp_path $home/fastcgi;
    uwsgi_temp_path $home/uwsgi;
    scgi_temp_path $home/scgi;
    limit_req_zone \$server_name zone=all:1m rate=80r/s;
    limit_req_zone \$server_name zone=slow:1m rate=1r/m;
    limit_req_status 429;
    split_clients \$request_id \$behind {
        1% 127.0.0.1:$((port + 1));
        * 127.0.0.1:$upstream;
    }
    server {
        listen 127.0.0.1:$port ssl;
        server_name localhost;
        ssl_certificate $home/server.pem;
        ssl_certificate_key $home/server.key;
        client_max_body_size 2k;
        location = /hook {
            client_max_body_size 1m;
            access_log $home/hooks.log hook;
            proxy_pass http://127.0.0.1:$((port + 1));
        }
        location / {
            limit_req zone=all burst=10 nodelay;
            proxy_pass http://\$behind;
            proxy_set_header Host localhost:$port;
            proxy_read_timeout 1s;
            error_page 429 = @limited;
        }
        location @limited {
            add_header Retry-After 1 always;
            default_type application/scim+json;
            return 429 '{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"429","detail":"rate limit"}';
        }
    }
    server {
        listen 127.0.0.1:$((port + 1));
        server_name slow;
        access_log off;
        location = /hook {
            return 204;
        }
        location / {
            limit_req zone=slow burst=10000;
            proxy_pass http://127.0.0.1:$upstream;
        }
    }
}
CONF

nginx -c "$home/nginx.conf" -e "$home/error.log"
for _ in $(seq 100); do
    if curl -s -o /dev/null -m 2 --cacert "$home/ca.pem" "https://localhost:$port/"; then
        echo "https://localhost:$port"
        exit 0
    fi
    sleep 0.1
done
echo "nginx does not answer on 127.0.0.1:$port; its log:" >&2
cat "$home/error.log" >&2
[ ! -f "$dir/nginx.$port.pid" ] || kill "$(cat "$dir/nginx.$port.pid")" || true
exit 1
