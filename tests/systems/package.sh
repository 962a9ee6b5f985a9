#!/bin/bash
# Proves the Debian package on this machine, as root: installed, called by its units' own command as the user muster, upgraded
# while state is there and while an apply is under way, removed, installed again, purged. What it makes it removes.
#
#   package.sh DIR
#
# Installs cargo-deb into DIR once. MUSTER_BINARY is the program to pack (default target/release/muster, which is built where
# it is not there or older than the sources). Refuses to begin where a package, user or folder of muster's is on the machine
# already. Without a running systemd, units are verified and enabled, and nothing is started by a timer.
set -euo pipefail

dir=${1:?usage: package.sh DIR}
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C.UTF-8
state=/var/lib/muster
scratch=$(mktemp -d)
begun=
apply=

fail() {
    echo "package.sh: $*" >&2
    exit 1
}

# Ends a command with the status that is expected of it, or this script.
ended() {
    local expected=$1 status=0
    shift
    "$@" >"$scratch/said" 2>&1 || status=$?
    [ "$status" -eq "$expected" ] || fail "status $status instead of $expected: $*: $(cat "$scratch/said")"
}

is() {
    [ "$2" = "$3" ] || fail "$1 is $2, and not $3"
}

finish() {
    status=$?
    trap - EXIT
    if [ -n "$apply" ]; then
        kill -KILL "$apply" 2>/dev/null || true
    fi
    if [ -n "$begun" ]; then
        dpkg --purge muster >/dev/null 2>&1 || true
        rm -rf "$state" /etc/systemd/system/timers.target.wants/muster@people.timer \
            /etc/systemd/system/muster@other.*.d /etc/systemd/system/muster-complete@other.*.d
        if getent passwd muster >/dev/null; then
            userdel muster 2>/dev/null || true
        fi
    fi
    rm -rf "$scratch"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

[ "$(id -u)" -eq 0 ] || fail "only root can install a package"
if dpkg-query --show muster >/dev/null 2>&1 || getent passwd muster >/dev/null || [ -e "$state" ] || [ -e /etc/muster ]; then
    fail "a package, user or folder of muster's is on this machine already: it is left alone, and nothing is tried"
fi

# --- Two packages of one program: the second one is newer.
binary=${MUSTER_BINARY:-target/release/muster}
if [ -z "${MUSTER_BINARY:-}" ]; then
    if [ ! -x "$binary" ] || [ -n "$(find src Cargo.toml Cargo.lock -newer "$binary" -print -quit)" ]; then
        cargo build --release --locked --quiet
    fi
fi
version=3.8.0
if [ "$("$dir/cargo-deb/bin/cargo-deb" --version 2>/dev/null)" != "cargo-deb $version" ]; then
    cargo install cargo-deb --version "$version" --locked --no-default-features --quiet --root "$dir/cargo-deb" >&2
fi
export CARGO_DEB="$dir/cargo-deb/bin/cargo-deb --fast" MUSTER_BINARY="$binary"
old=$(packaging/build "$scratch" 0.1.0-1)
new=$(packaging/build "$scratch" 0.1.0-2)

# --- Installed. Images of containers leave out manuals and documents, which are looked at here.
install=(dpkg "--path-include=/usr/share/man/*" "--path-include=/usr/share/doc/*" --install)
begun=yes
"${install[@]}" "$old" >"$scratch/said" || fail "it cannot be installed: $(cat "$scratch/said")"
is "the home of muster" "$(getent passwd muster | cut -d : -f 6)" "$state"
is "the shell of muster" "$(getent passwd muster | cut -d : -f 7)" /usr/sbin/nologin
for expected in "root:root 755 /usr/bin/muster" "root:root 755 /etc/muster/jobs" "root:root 700 /etc/muster/credentials" \
    "muster:muster 700 $state" "root:root 644 /lib/systemd/system/muster@.service" \
    "root:root 644 /lib/systemd/system/muster-complete@.timer" "root:root 644 /usr/lib/sysusers.d/muster.conf"; do
    is "owner and mode" "$(stat -c '%U:%G %a %n' "${expected##* }")" "$expected"
done
for file in README.md CHANGELOG.md changelog.Debian.gz copyright docs/operating.md docs/reference/commands.md; do
    [ -s "/usr/share/doc/muster/$file" ] || fail "/usr/share/doc/muster/$file is missing; there is: $(ls -R /usr/share/doc/muster)"
done
is "the program" "$(muster --version)" "$("$binary" --version)"

for page in /usr/share/man/man1/muster*.1.gz; do
    said=$(man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
    is "what man says of $page" "$said" ""
done
said=$(MANPAGER=cat man muster-run)
[[ $said == *"muster run idp-to-vault"* ]] || fail "man muster-run shows no example"
[ "$(ls /usr/share/man/man1/muster-*.1.gz | wc -l)" -gt 25 ] || fail "manual pages are missing"
bash -uc 'source /usr/share/bash-completion/completions/muster
    COMP_WORDS=(muster ru); COMP_CWORD=1; _muster muster ru muster; [ "${COMPREPLY[*]}" = run ]' || fail "bash completes nothing"
if command -v zsh >/dev/null; then
    zsh -fc 'fpath=(/usr/share/zsh/vendor-completions $fpath); autoload -Uz compinit; compinit -D -u
        autoload -Uz +X _muster && [ "${_comps[muster]}" = _muster ]' || fail "zsh completes nothing"
fi
if command -v fish >/dev/null; then
    said=$(fish --no-config -c 'source /usr/share/fish/vendor_completions.d/muster.fish; complete -C "muster ru"')
    is "what fish completes" "${said%%[[:space:]]*}" run
fi

for mode in muster muster-complete; do
    for kind in service timer; do
        said=$(systemd-analyze verify --man=no "$mode@people.$kind" 2>&1) || fail "$mode@people.$kind: $said"
        is "what systemd says of $mode@people.$kind" "$said" ""
    done
    systemd-analyze calendar "$(sed -n 's/^OnCalendar=//p' "/lib/systemd/system/$mode@.timer")" >/dev/null
done
systemd-analyze security --offline=true --threshold=13 muster@people.service >/dev/null || fail "muster@.service exposes too much"
systemctl enable muster@people.timer 2>/dev/null
link=/etc/systemd/system/timers.target.wants/muster@people.timer
is "what is enabled" "$(readlink "$link")" /lib/systemd/system/muster@.timer

if [ -d /run/systemd/system ]; then
    systemctl start muster@people.timer
fi

# --- A job, called as the unit calls it.
mkdir "$scratch/drop"
printf 'id,login\nE1,ada\nE2,grace\nE3,mary\n' >"$scratch/drop/users.csv"
chmod -R a+rX "$scratch"
cat >/etc/muster/jobs/people.toml <<END
name = "people"
[systems.hr]
kind = "csv"
path = "$scratch/drop"
[systems.vault]
kind = "sandbox"
faults = "faults.toml"
[[sync]]
from = "hr.users"
to = "vault.users"
match = [{ source = "id", target = "externalId" }]
[sync.attributes]
externalId = "id"
userName = "login"
[sync.thresholds]
create = "off"
END
echo 'rules = []' >/etc/muster/jobs/faults.toml

# As muster, with nothing of this shell's surroundings but what the unit or sudo would give.
as_muster=(sh -c 'cd /etc/muster && umask 0077 && exec setpriv --reuid=muster --regid=muster --init-groups --no-new-privs \
    env -i PATH=/usr/bin:/bin HOME=/var/lib/muster "$@"' sh)

unit() {
    local setting
    setting=$(sed -n "s/^$1=//p" "/lib/systemd/system/muster@.service")
    echo "${setting//%i/people}"
}
is "the folder of the service" "$(unit WorkingDirectory)" /etc/muster
is "the user of the service" "$(unit User)" muster
is "the state of the service" "$(unit StateDirectory) $(unit StateDirectoryMode)" "muster 0700"
by_unit() {
    local words
    read -ra words <<<"$(unit ExecStart)"
    "${as_muster[@]}" STATE_DIRECTORY="$state" "${words[@]}"
}

ended 3 by_unit
is "the database" "$(stat -c '%U:%G %a' "$state/muster.db")" "muster:muster 600"
# People become muster, and see the state of the service without naming it.
ended 0 "${as_muster[@]}" muster review people
grep -q '3 orders wait for review' "$scratch/said" || fail "review as muster does not show the service's run: $(cat "$scratch/said")"
ended 0 "${as_muster[@]}" muster approve people --all --comment "first load"
ended 0 "${as_muster[@]}" muster apply people
ended 0 by_unit

# --- What only one job needs, as drop-ins beside the units of all.
sed 's/^name = .*/name = "other"\nschedule = { incremental = "30m", complete = "off" }/; s/^kind = "sandbox"/kind = "scim"\nurl = "https:\/\/vault.example.com\/scim"\nauth = { bearer = "credential:token" }/; /^faults/d' \
    /etc/muster/jobs/people.toml >/etc/muster/jobs/other.toml
ended 0 muster -v schedule /etc/muster/jobs/other.toml --package --output /etc/systemd/system
grep -q 'systemctl enable --now muster@other.timer$' "$scratch/said" || fail "the timer is not told: $(cat "$scratch/said")"
own=/etc/systemd/system/muster@other
is "the credential" "$(grep LoadCredential "$own.service.d/job.conf")" LoadCredential=token:/etc/muster/credentials/token
is "its own times" "$(grep -c OnCalendar "$own.timer.d/job.conf")" 2
for unit in muster@other.service muster@other.timer muster-complete@other.service; do
    said=$(systemd-analyze verify --man=no "$unit" 2>&1) || fail "$unit: $said"
    is "what systemd says of $unit" "$said" ""
done
sed -i '/^schedule/d; s/^auth.*//' /etc/muster/jobs/other.toml
ended 0 muster schedule /etc/muster/jobs/other.toml --package --output /etc/systemd/system
[ ! -e "$own.service.d/job.conf" ] && [ ! -e "$own.timer.d/job.conf" ] || fail "what the job needs no more is still there"

# --- Upgraded while an apply is under way: it goes on with the program that it began with.
for number in $(seq 4 9); do echo "E$number,user$number" >>"$scratch/drop/users.csv"; done
ended 3 by_unit
ended 0 "${as_muster[@]}" muster approve people --all --comment "second load"
cat >/etc/muster/jobs/faults.toml <<END
[[rules]]
method = "POST"
prefix = "/Users"
action = { delay = { ms = 2000 } }
END
run=$(basename "$(ls -d "$state"/runs/people/* | tail -1)")
"${as_muster[@]}" muster apply people >"$scratch/applied" 2>&1 &
apply=$!
requests="$state/runs/people/$run/requests.ndjson"
for _ in $(seq 100); do
    # The canary is created by now, and the wave after it waits.
    ! grep -qs '"POST /scim/v2/Users","status":201' "$requests" || break
    kill -0 "$apply" 2>/dev/null || fail "the apply ended early: $(cat "$scratch/applied")"
    sleep 0.1
done
# However long the upgrade takes.
kill -STOP "$apply"
"${install[@]}" "$new" >"$scratch/said" 2>&1 || fail "it cannot be upgraded: $(cat "$scratch/said")"
program=$(readlink "/proc/$apply/exe") || fail "the apply ended before the upgrade did: $(cat "$scratch/applied")"
is "what the apply runs" "$program" "/usr/bin/muster (deleted)"
kill -CONT "$apply"
overtaken=$apply apply=
wait "$overtaken" || fail "the apply that an upgrade overtook ended with $?: $(cat "$scratch/applied")"
echo 'rules = []' >/etc/muster/jobs/faults.toml
is "the package" "$(dpkg-query --show --showformat '${Version}' muster)" 0.1.0-2
[ -L "$link" ] || fail "the upgrade disabled the timer"
if [ -d /run/systemd/system ]; then
    systemctl is-active --quiet muster@people.timer || fail "the upgrade stopped the timer"
fi
ended 0 by_unit
ended 0 "${as_muster[@]}" muster log --verify

# --- Removed: the state stays, the timer goes; installed again, it goes on.
dpkg --remove muster >"$scratch/said" 2>&1 || fail "it cannot be removed: $(cat "$scratch/said")"
grep -q 'systemctl enable --now muster@people.timer' "$scratch/said" || fail "nobody is told of the timer: $(cat "$scratch/said")"
[ ! -e "$link" ] && [ ! -L "$link" ] || fail "the timer outlived the package"
[ ! -e /usr/bin/muster ] || fail "the program outlived the package"
[ -f "$state/muster.db" ] && [ -f /etc/muster/jobs/people.toml ] || fail "a removal took state or jobs along"
"${install[@]}" "$new" >"$scratch/said" 2>&1 || fail "it cannot be installed again: $(cat "$scratch/said")"
ended 0 by_unit
ended 0 "${as_muster[@]}" muster status people

# --- Purged: the configuration goes, the state stays, and how to remove it is told.
dpkg --purge muster >"$scratch/said" 2>&1 || fail "it cannot be purged: $(cat "$scratch/said")"
grep -q "rm -rf $state" "$scratch/said" || fail "nobody is told how to remove the state: $(cat "$scratch/said")"
[ ! -e /etc/muster ] || fail "a purge left /etc/muster"
[ -f "$state/muster.db" ] || fail "a purge took the state along"
getent passwd muster >/dev/null || fail "a purge took the owner of the state along"
echo "the Debian package installs, upgrades under way, is removed and purged without losing state" >&2
