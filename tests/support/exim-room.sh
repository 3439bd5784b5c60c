#!/bin/bash
# exim-room.sh PROGRAM EXIM CASES: runs `smtpcred setup exim` in namespaces of its own, on
# Debian's configuration of Exim, once for each case. EXIM is a folder with Debian's packages
# of Exim, unpacked. CASES has a file NAME.sh for each case, which changes the configuration
# before Exim starts, and may define `after`, which runs when setup is done.
#
# Prints for each case: NAME, the exit code, whether --undo restored the files, and what
# setup said; and what `after` and the checks here complain about, in one line each. Nothing
# of it stays.
set -eu
program=$1 exim=$2 cases=$3

# shellcheck source=tests/support/new-machine.sh
. "$(dirname "$0")/new-machine.sh" usr
install -m 755 "$program" /usr/local/bin/smtpcred
umask 022
export HOME=/root
unset SMTPCRED_STORE
cd /

for place in usr etc; do cp -a "$exim/$place/." "/$place/"; done
# As the package has it: to listen anew at a low port, it becomes root again.
chmod u+s /usr/sbin/exim4
mkdir -p /var/log/exim4 /var/spool/exim4 /var/lib/exim4 /run/exim4
chown -R Debian-exim:Debian-exim /var/log/exim4 /var/spool/exim4 /run/exim4
hostname smtp.example.com
echo '127.0.0.1 smtp.example.com localhost' > /etc/hosts
echo smtp.example.com > /etc/mailname
cat > /etc/exim4/update-exim4.conf.conf << 'END'
dc_eximconfig_configtype='internet'
dc_other_hostnames='smtp.example.com'
dc_local_interfaces=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
CFILEMODE='644'
dc_use_split_config='true'
dc_localdelivery='mail_spool'
END
cp -a /etc/exim4 /root/base

# Everything of Debian's folder, with owners and modes.
state() { tar -C /etc/exim4 --sort=name --mtime=@0 -c . | sha256sum; }

for case in "$cases"/*.sh; do
    name=$(basename "$case" .sh)
    rm -rf /etc/exim4 /var/lib/smtpcred-setup /var/lib/smtpcred /run/smtpcred-exim
    cp -a /root/base /etc/exim4
    after() { :; }
    # shellcheck disable=SC1090 # the case
    . "$case"
    (
        set +e
        : > /root/after
        update-exim4.conf
        service exim4 start > /dev/null 2>&1
        state > /root/before
        timeout 100 smtpcred setup exim --yes > /root/stdout 2> /root/stderr < /dev/null
        code=$?
        if [ $code = 0 ]; then
            after > /root/after 2>&1
            timeout 100 smtpcred setup exim --yes > /root/again 2>&1 < /dev/null
            grep -q '^nothing to change' /root/again || cat /root/again >> /root/after
            timeout 100 smtpcred setup exim --undo --yes > /root/undo 2>&1 < /dev/null || cat /root/undo >> /root/after
            find /var/lib/smtpcred-setup -type f ! -name manifest.json >> /root/after
        fi
        back=no
        state | cmp -s - /root/before && back=yes
        find /run -name 'smtpcred-setup-*' >> /root/after
        [ "$(cat /var/log/exim4/paniclog 2> /dev/null)" = '' ] || cat /var/log/exim4/paniclog >> /root/after
        printf '%s %s %s|%s|%s\n' "$name" "$code" "$back" "$(tr '\n' ' ' < /root/stderr)" "$(tr '\n' ' ' < /root/after)"
        rm -f /var/log/exim4/paniclog
        service exim4 stop > /dev/null 2>&1
        true
    )
done
