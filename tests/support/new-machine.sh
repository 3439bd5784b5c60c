# Sourced, in namespaces of one's own, with more places that may change: makes this a machine
# that has never seen smtpcred. What is changed in /etc, /var, /root and in these places is gone
# afterwards. Sets $work, a folder in memory.
# shellcheck shell=bash

mount --make-rprivate /
work=$(mktemp -d)
mount -t tmpfs none "$work"
for place in etc var root "$@"; do
    mkdir -p "$work/$place/changed" "$work/$place/work"
    mount -t overlay -o "lowerdir=/$place,upperdir=$work/$place/changed,workdir=$work/$place/work" overlay "/$place"
done
mount -t tmpfs none /run
ip link set lo up

# As on Debian 12 and 13 before anything else was installed there.
rm -rf /etc/sysusers.d /etc/tmpfiles.d /var/lib/smtpcred*
sed -i '/^smtpcred:/d' /etc/passwd /etc/group /etc/shadow /etc/gshadow
