#!/bin/bash
# ten-minutes.sh SOURCE PROGRAM COMMANDS: runs the commands of the README as they
# stand, in namespaces of its own: on what is here now of Debian and Postfix, as if
# nothing of ours had ever been installed. Nothing of it stays.
set -eu
source=$1 program=$2 commands=$3

# shellcheck source=tests/support/new-machine.sh
. "$(dirname "$0")/new-machine.sh" usr/local

# What is built is here already; and of systemd there is no manager here.
mkdir -p "$work/bin" "$work/src/target/release"
cp "$program" "$work/src/target/release/smtpcred"
cp -r "$source/dist" "$work/src/"
printf '#!/bin/sh\n[ "$*" = "build --release" ]\n' > "$work/bin/cargo"
cat > "$work/bin/systemctl" <<'STUB'
#!/bin/bash
set -eu
[ "$1 $2" = "enable --now" ]
shift 2
/usr/bin/systemctl --no-ask-password enable "$@"
setting() { sed -n "s/^$2=//p" "/etc/systemd/system/$1" | head -n 1; }
names='' listens=() paths=()
for unit in "$@"; do
    path=$(setting "$unit" ListenStream)
    mkdir -p -m "$(setting "$unit" DirectoryMode)" "$(dirname "$path")"
    names=$names:$(setting "$unit" FileDescriptorName)
    listens+=(-l "$path") paths+=("$path")
done
service=$(setting "$1" Service)
user=$(setting "$service" User)
eval "$(setting "$service" Environment | sed 's/^/export /')"
# shellcheck disable=SC2046 # words
systemd-socket-activate "${listens[@]}" --fdname="${names#:}" -E SMTPCRED_STORE \
    setpriv --reuid "$user" --regid "$user" --clear-groups $(setting "$service" ExecStart) \
    2> /run/serve.log < /dev/null > /dev/null &
for path in "${paths[@]}"; do
    while [ ! -S "$path" ]; do sleep 0.05; done
    chgrp "$(setting "$1" SocketGroup)" "$path"
    chmod "$(setting "$1" SocketMode)" "$path"
done
STUB
chmod 755 "$work"/bin/*
export PATH=$work/bin:$PATH HOME=/root
unset SMTPCRED_STORE

# Debian's own, and running.
cp /usr/share/postfix/main.cf.debian /etc/postfix/main.cf
cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=smtp.example.com -days 90 \
    -addext subjectAltName=DNS:smtp.example.com -addext basicConstraints=critical,CA:FALSE \
    -keyout /etc/postfix/key.pem -out /etc/postfix/cert.pem 2> /dev/null
postconf -e 'smtpd_tls_chain_files = /etc/postfix/key.pem, /etc/postfix/cert.pem' 'maillog_file = /var/log/postfix.log'
postfix start 2> /dev/null
echo '127.0.0.1 smtp.example.com' >> /etc/hosts
export SSL_CERT_FILE=/etc/postfix/cert.pem

cd "$work/src"
while IFS= read -r command; do
    echo "# $command"
    # Where a limit of time is the test's, it says so itself.
    timeout 60 bash -c "$command" 2>&1 || { echo "FAILED with $?"; cat /run/serve.log /var/log/postfix.log; exit 1; }
done < "$commands"
# The store of root and of the service is one.
timeout 60 runuser -u smtpcred -- smtpcred user list 2>&1 | grep -q '^shop@example.com' || { echo "another store"; exit 1; }
systemd-analyze verify --man=no /etc/systemd/system/smtpcred* 2>&1 | grep smtpcred || echo "the units are good"
