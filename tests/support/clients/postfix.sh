# Debian's Postfix as it is installed, but with a queue of its own, sends through
# the relay. On its own network nobody answers for DNS, and port 25 is the relay's.
set -eu
home=$PWD
mkdir queue data
chown postfix data
chmod 700 data
postconf -e "queue_directory=$home/queue" "data_directory=$home/data" \
    "maillog_file=$home/log" "maillog_file_prefixes=$home" myhostname=client.test \
    mydestination= inet_protocols=ipv4 smtp_host_lookup=native disable_dns_lookups=yes \
    in_flow_delay=0 alias_maps= relayhost=
postconf -M# smtp/inet
trap 'postfix stop 2>&1; cat log' EXIT
postfix check
# As Debian's unit does, for the chroot.
/usr/lib/postfix/configure-instance.sh -
postfix start
sh relayhost.sh
printf 'Subject: A test mail\n\nIt works.\n' | sendmail -f cron@client.test "$1"
until grep -q 'postfix/smtp.*status=' log; do sleep 0.05; done
grep -q 'postfix/smtp.*status=sent' log
