#!/bin/bash
# setup-room.sh PROGRAM CASES: runs `smtpcred setup` in namespaces of its own, on Debian's
# configuration of Postfix, once for each case. CASES has a file for each:
#
#   NAME.sh   what is done to the configuration before Postfix starts, as functions:
#             before (Postfix is stopped), running (it runs), after (setup is done)
#   NAME.args the arguments
#
# Prints for each case: NAME, the exit code, whether --undo restored the files, and what
# setup said; and what `after` and the checks here complain about, in one line each. Nothing
# of it stays.
set -eu
program=$1 cases=$2

# shellcheck source=tests/support/new-machine.sh
. "$(dirname "$0")/new-machine.sh" usr/local
install -m 755 "$program" /usr/local/bin/smtpcred
umask 022
export HOME=/root
unset SMTPCRED_STORE
cd /

mkdir -p /root/base
cp /usr/share/postfix/main.cf.debian /root/base/main.cf
cp /usr/share/postfix/master.cf.dist /root/base/master.cf
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=smtp.example.com -days 90 \
    -addext subjectAltName=DNS:smtp.example.com -addext basicConstraints=critical,CA:FALSE \
    -keyout /etc/postfix/key.pem -out /etc/postfix/cert.pem 2> /dev/null
postconf -c /root/base -e 'smtpd_tls_cert_file = /etc/postfix/cert.pem' \
    'smtpd_tls_key_file = /etc/postfix/key.pem' 'maillog_file = /var/log/postfix.log' \
    'myhostname = smtp.example.com' 'smtpd_peername_lookup = no'

# Adds the lines of a service to master.cf.
service() { printf '%s\n' "$@" >> /etc/postfix/master.cf; }

# Listens as another program, at a port or a socket.
listen() {
    python3 -c '
import socket, sys
at = sys.argv[1]
s = socket.socket(socket.AF_INET if at.isdigit() else socket.AF_UNIX)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", int(at)) if at.isdigit() else at)
s.listen()
print("listens", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"hello\n")
    c.close()
' "$1" > /root/listens & echo $! >> /root/others
    while [ ! -s /root/listens ]; do sleep 0.05; done
    rm /root/listens
}

for case in "$cases"/*.sh; do
    name=$(basename "$case" .sh)
    cp /root/base/main.cf /root/base/master.cf /etc/postfix/
    rm -rf /var/lib/smtpcred-setup /var/lib/smtpcred /var/spool/postfix/smtpcred
    before() { :; }
    running() { :; }
    after() { :; }
    # shellcheck disable=SC1090 # the case
    . "$case"
    (
        set +e
        before
        postfix start 2> /dev/null
        running
        rm -rf /root/kept && mkdir /root/kept && cp -p /etc/postfix/*.cf /root/kept
        read -r -a args < "$cases/$name.args"
        timeout 100 smtpcred setup postfix --yes "${args[@]}" \
            > /root/stdout 2> /root/stderr < /dev/null
        code=$?
        same() { rm -rf /root/now && mkdir /root/now && cp -p /etc/postfix/*.cf /root/now && diff -r /root/kept /root/now; }
        back=no
        if [ $code = 0 ]; then
            after > /root/after 2>&1
            timeout 100 smtpcred setup postfix --yes "${args[@]}" > /root/again 2>&1 < /dev/null
            grep -q '^nothing to change' /root/again || echo "a second run: $(tr '\n' ' ' < /root/again)" >> /root/after
            [ "${args[0]:-}" = --config ] || args=()
            timeout 100 smtpcred setup postfix --undo --yes "${args[@]}" > /root/undo 2>&1 < /dev/null || cat /root/undo >> /root/after
        fi
        same > /dev/null && back=yes
        find /run -name 'smtpcred-setup-*' >> /root/after 2> /dev/null
        [ $code = 0 ] && find /var/lib/smtpcred-setup -type f >> /root/after
        printf '%s %s %s|%s|%s\n' "$name" "$code" "$back" "$(tr '\n' ' ' < /root/stderr)" "$(tr '\n' ' ' < /root/after)"
        rm -f /root/after
        [ -f /root/others ] && while read -r id; do kill "$id"; done < /root/others
        rm -f /root/others
        for place in /usr/sbin/postconf /etc/postfix /var/lib/smtpcred-setup; do umount "$place" 2> /dev/null; done
        # Whatever the case did to them.
        cp /root/base/main.cf /root/base/master.cf /etc/postfix/
        postfix stop 2> /dev/null
        true
    )
done
