//! What `--help` says below the options, and the man pages say after them:
//! examples, JSON, exit codes. A heading is a line without indentation.

pub const SEE_LONG: &str = "Examples, files and exit codes: smtpcred --help";

pub const TOP: &str = "\
Examples:
  smtpcred user create shop@example.com --add-domain     a domain, a user, a password shown once
  smtpcred set-settings --host smtp.example.com          what applications connect to
  smtpcred user list                                     who has a password, and since when
  smtpcred user reset shop@example.com --overlap 24h     a new password, without an outage
  printf %s \"$PW\" | smtpcred verify shop@example.com     exit code 0 if it is right
  smtpcred show-settings shop@example.com --for python   settings that paste and work
  smtpcred test shop@example.com --to you@example.org    a test mail; what is in its way
  smtpcred doctor                                        the whole chain on this machine

Output:
  stdout carries what was asked for and nothing else; everything said about it goes to stderr.
  With --json every command prints one document, whose names never change; times are RFC 3339 in
  UTC. Errors are then {\"error\": {\"code\": …, \"message\": …, \"hint\": …}} on stderr. CSV gives a
  program each text as it is; on a terminal, control characters in it are spelled out. Without a
  terminal nothing is ever asked: a missing answer is an error that names the flag.

Exit codes:
    0  done
    1  failed
    2  the command line or a value in it is wrong
    3  no such domain or user
    4  refused: exists, limit reached, policy
    5  needs confirmation, or was cancelled
    6  wrong password
    7  something to look at
    8  something would change: apply --dry-run
   74  the output could not be delivered; nothing changed
   75  try again: the store is busy, full, missing or unreachable
  130  interrupted; nothing changed

Files:
  /var/lib/smtpcred/smtpcred.db                          the store, for root
  ~/.local/share/smtpcred/smtpcred.db                    the store, for everybody else

Environment:
  SMTPCRED_STORE    the store's file, as --store
  NO_COLOR          no colours";

pub const USER_RESET: &str = "\
Examples:
  smtpcred user reset shop@example.com                   the old password stops at once
  smtpcred user reset shop@example.com --overlap 24h     both work until tomorrow
  smtpcred user reset shop@example.com --reveal raw | systemd-creds encrypt --name=smtp - smtp.cred

JSON:
  As of `user create`.";

pub const USER_ROTATE: &str = "\
Examples:
  smtpcred user rotate shop@example.com --write-file /etc/shop/smtp.password
  smtpcred user rotate shop@example.com --deliver '/usr/local/bin/put-secret shop'
  smtpcred user set shop@example.com --rotate-every 90d --deliver 'ssh app1 put-smtp-password'
  smtpcred user rotate --due --quiet                     from cron, with what was set before
  smtpcred user rotate --due --dry-run                   who, why and where to
  smtpcred user rotate crm@example.com --retire when-unused:48h --overlap-max 30d
  smtpcred user rotate crm@example.com --prove           sign in with it over SMTP first

Files:
  Replaced in one piece, with the rights they had. One that holds a password of another user which
  works is left alone: whoever would write it is not rotated.

What a command gets:
  The password and a newline on its standard input; SMTPCRED_USERNAME, SMTPCRED_DOMAIN,
  SMTPCRED_HOST, SMTPCRED_PORT, SMTPCRED_KEY_ID and SMTPCRED_OLD_KEY_ID in its environment. What it
  prints is shown, with the password masked.

What its end means:
  0: it has arrived, and the old one retires. 75: nothing was delivered, the new one is withdrawn.
  Anything else, or its time is over: if it read the password that may have arrived, so both work,
  and the rotation is unfinished. If it did not read it, the new one is withdrawn.

Unfinished rotations:
  The next run looks who signs in: with the new password, it has arrived; with the old one after the
  delivery ended, it has not, and a new one is made. Until somebody does, both work.

JSON:
  {rotated, failed, left, users: [{username, outcome: rotated | failed | unfinished, key_id,
  reason}]}; with --dry-run a list of {username, why, delivery, problem}.";

pub const USER_RETIRE: &str = "\
Examples:
  smtpcred user list --overlap                           who still uses an old password
  smtpcred user retire shop@example.com                  the old one stops now
  smtpcred user retire shop@example.com --key 7kq3abcd   where a rotation is unfinished

JSON:
  The user, as `user list` prints it.";

pub const REPORT: &str = "\
Examples:
  smtpcred report                                        everything there is to look at
  smtpcred report --old-passwords 180d --stale 90d
  smtpcred report --weak-hashes                          who has not signed in since an import
  smtpcred report --monitor --unfinished --expiring 7d   for Nagios and its like
  smtpcred report --json --limit 1000 --after shop@example.com           the next page

JSON:
  A list of {username, matter, at, detail}. A matter is unfinished_rotation, expired, expiring,
  old_password, overlap, never_used, stale or weak_hash; at is since when, or from when on.

Pages:
  By username: --limit counts users, and all findings about one of them are in one page. The next
  page are those --after the last username of this one; an empty list, with 0, is the end.

Exit codes:
  0 nothing, 7 something; of a page, in it. With --monitor those of a monitoring plugin: 0 ok,
  1 warning, 2 critical, 3 unknown.";

pub const USER_LIST: &str = "\
Examples:
  smtpcred user list
  smtpcred user list --domain example.com --status suspended
  smtpcred user list --stale 90d --never-used
  smtpcred user list --overlap                           who still uses an old password
  smtpcred user list --expiring 14d
  smtpcred user list --json --limit 1000 --after shop@example.com        the next page
  smtpcred user list --json | jq -r '.[] | select(.password_age_seconds > 15552000) | .username'

JSON:
  A list of {username, domain, label, status, keys: [{id, created_at, retires_at,
  last_connection}], password_created_at, password_age_seconds, last_connection: {at, address},
  daily_limit, expires_at, suspended_at, created_at}. The keys are those that work, oldest first;
  what is not set is null; status is active, overlap, suspended or expired.

Pages:
  The next page are those --after the last username of this one; an empty list is the end. Who is
  there all the time is in one of them, once. Without --limit it is all of them in one document.";

pub const USER_SHOW: &str = "\
Examples:
  smtpcred user show shop@example.com

JSON:
  As in `user list`, and old_keys (the passwords that have stopped), senders, limits: {KIND: N},
  on_limit, refused_sign_ins: [{username, address, reason, count, first_at, last_at}],
  rotate_every_seconds, delivery: {command, write_file, write_env, env_name, timeout_seconds},
  unfinished_rotation: {key_id, reason, began_at}. What holds for rotation is its own, its domain's
  or the installation's.";

pub const USER_SET: &str = "\
Examples:
  smtpcred user set shop@example.com --label \"Shop, new server\"
  smtpcred user set shop@example.com --expires-in 180d --daily-limit 500
  smtpcred user set shop@example.com --expires-in none
  smtpcred user set shop@example.com --expires-at 2027-06-30
  smtpcred user set shop@example.com --sender shop.example --limit messages/hour=100
  smtpcred user set shop@example.com --rotate-every 90d --deliver 'ssh web1 put-smtp-password'

JSON:
  The user, as `user list` prints it.";

pub const USER_SUSPEND: &str = "\
Examples:
  smtpcred user suspend shop@example.com

JSON:
  The user, as `user list` prints it.";

pub const USER_RESUME: &str = "\
Examples:
  smtpcred user resume shop@example.com

JSON:
  The user, as `user list` prints it.";

pub const USER_DELETE: &str = "\
Examples:
  smtpcred user delete shop@example.com                  asks for the username to be typed
  smtpcred user delete shop@example.com --yes            for scripts; there is no way back

JSON:
  The user as it was.";

pub const SHOW_SETTINGS: &str = "\
Examples:
  smtpcred show-settings                                 of the installation
  smtpcred show-settings example.com                     of a domain
  smtpcred show-settings shop@example.com --json         of a user
  smtpcred show-settings shop@example.com --for django   to be pasted
  smtpcred show-settings shop@example.com --for swaks --port 465 | sh -s you@example.org
  smtpcred show-settings --for list                      which clients there are

Pasted text:
  Runs as it is once SMTP_PASSWORD is in the client's environment, or the password in the file that
  the text names. It always asks for TLS and a certificate that is good for the server's name; where
  a client cannot, its text says so. The sender is the user's own address.

JSON:
  {username, host, ports: [{port, encryption, recommended}], auth}; encryption is starttls or tls.
  Of the installation also argon2, accept_hash, day, allow_insecure, require_verified_domains,
  limits: {KIND: N}, on_limit, rotate_every_seconds and delivery. With --for: {client, title, file,
  username, host, port, encryption, text}; with --for list: a list of {client, title, file}. The file
  is null where it is the reader's choice.";

pub const SET_SETTINGS: &str = "\
Examples:
  smtpcred set-settings --host smtp.example.com
  smtpcred set-settings --ports 587,465
  smtpcred set-settings --argon2 m=47104,t=1,p=1
  smtpcred set-settings --accept-hash argon2,bcrypt,sha512-crypt
  smtpcred set-settings --limit messages/hour=5000 --day Europe/Berlin
  smtpcred set-settings --rotate-every 180d

JSON:
  {host, ports, argon2, accept_hash, day, allow_insecure, require_verified_domains,
  limits: {KIND: N}, on_limit, rotate_every_seconds,
  delivery: {command, write_file, write_env, env_name, timeout_seconds}}.

Argon2id:
  The least is OWASP's minimum: m=47104,t=1 or m=19456,t=2 or m=12288,t=3 or m=9216,t=4 or
  m=7168,t=5. The most is m=1048576 (1 GiB), t=16, p=16. The default is m=19456,t=2,p=1.

Hashes of other systems:
  What `user import` takes; who is there already still signs in. All, or with commas some of argon2,
  scrypt, yescrypt, bcrypt, pbkdf2, scram, sha512-crypt, sha256-crypt, md5-crypt, ssha512, ssha256,
  ssha, smd5, sha512, sha256, sha, md5, plain.";

pub const VERIFY: &str = "\
Examples:
  smtpcred verify shop@example.com                       asks for it, unseen
  smtpcred verify shop@example.com < /root/shop.password
  printf %s \"$PW\" | smtpcred verify shop@example.com --quiet && echo right

JSON:
  {username, key_id} if it is right; else an error: wrong_password, user_not_found,
  cannot_sign_in, or why it cannot be told.";

pub const TEST: &str = "\
Examples:
  smtpcred test shop@example.com --to you@example.org    asks for the password, unseen
  smtpcred test shop@example.com --to you@example.org < /root/shop.password
  smtpcred test shop@example.com --dry-run --all-ports < /root/shop.password
  smtpcred test shop@example.com --to you@example.org --port 465 --address 127.0.0.1 \\
                                 --password-file /root/shop.password --json
  smtpcred test shop@example.com --without-tls           what an application without TLS gets

Steps:
  address, connect, greeting, STARTTLS, TLS, EHLO, AUTH, MAIL FROM, RCPT TO, DATA. Without --to it
  ends after AUTH, and with --dry-run before DATA. A message that is sent counts for the limits.

JSON:
  {username, from, to, sent, ports: [{host, port, encryption, offered, ok, steps: [{step,
  milliseconds, said}], tls: {version, certificate: {names, issuer, not_before, not_after}}, fault:
  {code, said, cause, next}, warnings, note}]}; said is in the server's own words; ok
  is null where the sign-in was not tried again, after a refusal. A code is one of
  wrong_password, mistyped_password, old_password, suspended, expired, server_asks_elsewhere,
  sign_in_refused, cannot_check, mechanism_refused, encryption_required, auth_in_clear,
  sign_in_required, sender_not_owned, sender_refused, domain_not_verified, relay_denied, recipient_refused,
  limit_reached, try_later,
  server_trouble, server_closing, too_large, message_refused, refused, no_auth, no_starttls,
  wants_tls, wants_starttls, certificate_unknown, certificate_expired, certificate_not_yet_valid,
  certificate_other_name, certificate_refused, certificate_expiring, tls_failed,
  connection_refused, unreachable, timed_out, hung_up, no_such_host, dns_failed, cannot_sign_in or
  protocol.

Exit codes:
  0 it works; 7 it works, with something to look at, or not on every port that is offered. Else what
  was in the way: 6 a wrong password, 4 refused by a rule, 75 an outage that may pass, 1 anything
  else.

Environment:
  SSL_CERT_FILE     certificates to trust instead of this machine's";

pub const WHY: &str = "\
Examples:
  smtpcred why shop@example.com
  smtpcred why shop@example.com --json | jq -r '.next[]'

JSON:
  {username, status, can_sign_in, can_send, reasons, keys: [{id, created_at, retires_at,
  last_used_at}], last_sign_in: {at, address, key_id}, last_refusal: {at, address, reason, count},
  senders, limits: [{owner, limit, most, used, used_up, frees_at}], unfinished_rotation: {key_id,
  reason, began_at}, expires_at, next}; what is not there is null. What is used may count up to 64
  messages of each busy user ahead.";

pub const SHOW_SERVER_CONFIG: &str = "\
Examples:
  smtpcred show-server-config postfix
  smtpcred show-server-config postfix --check
  smtpcred show-server-config exim --auth /run/smtpcred/auth --policy /run/smtpcred/policy
  smtpcred show-server-config dovecot

JSON:
  {text}; with --check a list of {place, wanted, found, good}, and exit code 7 where something
  differs.";

pub const USAGE: &str = "\
Examples:
  smtpcred usage                                         of the last 30 days, by user
  smtpcred usage --by day --since 7d
  smtpcred usage --by domain --since 1y --json
  smtpcred usage --limit 100 --after shop@example.com    the next page, as things stand then

JSON:
  A list of {name, messages, recipients, bytes, refusals}; the name is a username, a domain or a
  date. Kept for 400 days. A day is one of UTC, or of the zone in `set-settings --day`. Refusals are
  messages that a limit, a foreign sender or an unverified domain kept back.";

pub const AUDIT_FAILURES: &str = "\
Examples:
  smtpcred audit failures --since 24h
  smtpcred audit failures --user shop@example.com --json
  smtpcred audit failures --limit 100 --after \
                 '2026-11-20T19:35:50Z,shop@example.com,192.0.2.7,wrong-password'  the next page

JSON:
  A list of {username, address, reason, count, first_at, last_at}. The reasons are those of
  `smtpcred serve`. A name that may be a password typed into the wrong field is not kept.";

pub const DOCTOR: &str = "\
Examples:
  smtpcred doctor                                        everything that is found on this machine
  smtpcred doctor --problems                             only what is not ok
  smtpcred doctor --json | jq -r '.[] | select(.state == \"fail\") | .advice'
  smtpcred doctor --server exim --auth /run/smtpcred/auth --policy /run/smtpcred/policy
  smtpcred doctor --server postfix --config /etc/postfix-out --port 587 --port 4650/tls

States:
  ok; warn: works, and should be looked at, or cannot be told; fail: does not work. What may follow
  from something that fails is a warning. Below each warning and failure stands what to do.

JSON:
  A list of {area, check, state: ok | warn | fail, found, advice}; without advice it is null. The
  areas are store, machine, serve, server, postfix, exim, dovecot, ports, rotation and users; what
  is not here has no lines.";

pub const SERVE: &str = "\
Examples:
  smtpcred serve --auth /var/spool/postfix/smtpcred/auth,group=postfix \\
                 --policy /var/spool/postfix/smtpcred/policy,group=postfix
  smtpcred serve --auth /run/smtpcred/auth,mode=0666 --listen 127.0.0.1:10040

Sockets:
  Made anew under their names, with the mode 0660 unless said otherwise. Given by systemd's socket
  activation (FileDescriptorName=auth or policy) they are used instead of the flags.

Log:
  One line each on stderr. A sign-in that was refused:
    sign-in refused: address=203.0.113.9 reason=wrong-password user=shop@example.com
  The reasons: unknown-user, wrong-password, mistyped (a generated password that is not whole),
  old-password (one this user had), suspended, expired, no-tls, malformed. The client learns none
  of them.

Where it cannot tell:
  A store that is locked, missing or damaged, or too much to do: the connection is closed, and the
  mail server puts its client off (454 or 435 for a sign-in, 451 for a message). Never \"wrong\".";

pub const AUDIT_LIST: &str = "\
Examples:
  smtpcred audit list --since 7d
  smtpcred audit list --user shop@example.com --json
  smtpcred audit list --limit 1000 --after 4711          the next page, or what is new since

JSON:
  A list of {id, at, actor, run_as, host, action, domain, username, fields}. The actor is the
  person, also behind sudo; run_as is whom the program ran as, where that is another. The actions
  are domain.add, domain.set, domain.remove, domain.verify, user.create, user.import, user.set,
  user.reset, user.rotate, user.retire, user.suspend, user.resume, user.delete, user.expired, rotation.begin,
  rotation.withdraw, rotation.unfinished, password.rehash, settings.set, store.copy, store.grant,
  limit.near and limit.reached.";

#[cfg(test)]
mod tests {
    use crate::error::Exit;
    use crate::model::event::Action;

    #[test]
    fn the_help_lists_every_action() {
        for action in Action::ALL {
            let name = action.name();
            let mut words = super::AUDIT_LIST.split([' ', ',', '\n']);
            assert!(
                words.any(|word| word.trim_end_matches('.') == name),
                "{name}"
            );
        }
    }

    #[test]
    fn the_help_lists_every_exit_code() {
        for (exit, meaning) in Exit::TABLE {
            let line = format!("{:>5}  {meaning}\n", exit as u8);
            assert!(super::TOP.contains(&line), "{line}");
        }
    }
}
