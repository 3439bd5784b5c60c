//! What `user import` and `user export` say below their options.

pub const USER_IMPORT: &str = "\
Examples:
  smtpcred user import /etc/dovecot/users --from dovecot-passwd --dry-run
  smtpcred user import /etc/dovecot/users --from dovecot-passwd --add-domain
  mysqldump postfix mailbox | smtpcred user import - --from postfixadmin --add-domain
  sqlite3 credentials.db .dump | smtpcred user import - --from maddy
  db5.3_dump -p /etc/sasldb2 | smtpcred user import - --from sasldb
  smtpcred user import .htpasswd --from htpasswd --domain example.com
  smtpcred user import users.csv --from csv --update --skip-bad bad.csv

CSV:
  A line of names first. username, or username and domain; hash; label; suspended (yes or no) or
  suspended_at; expires_at; daily_limit; limits (messages/hour=100 recipients/day=500); on_limit;
  senders (with spaces); created_at; key_id; password_created_at; old_hash, old_key_id,
  old_password_created_at and old_retires_at of a password that works beside it. A column that is
  missing is left as it is, an empty field takes the value away. JSON is a list of objects with the
  same names; senders is a list, limits {KIND: N}.

The other formats:
  dovecot-passwd       user:{SCHEME}hash:…; nologin suspends, nopassword has no password
  postfixadmin         a dump of the table mailbox by mysqldump, pg_dump or sqlite3; active is kept
  htpasswd             user:hash, of every kind but DES (-d) and none (-p)
  maddy                a dump of the table passwords by sqlite3 or pg_dump
  docker-mailserver    postfix-accounts.cf
  sasldb               what db_dump prints of /etc/sasldb2; of what sasldblistusers2 prints the names
  mailgun-json         /v3/domains/DOMAIN/credentials: names alone, so --output-dir is needed

Hashes:
  As Dovecot writes them, {SCHEME}…, or by their own $id$: Argon2i and Argon2id, bcrypt, yescrypt,
  scrypt (passlib's and crypt's), PBKDF2 (Dovecot's and passlib's), SCRAM-SHA-1 and -256,
  SHA512-CRYPT, SHA256-CRYPT, MD5-CRYPT and $apr1$, SSHA512, SSHA256, SSHA, SMD5, SHA512, SHA256,
  SHA, MD5 in hex. {PLAIN} is hashed on its way in. They are verified as they are, and become
  Argon2id at the first good sign-in. A password that was replaced here since is not brought back.

Caps:
  Refused, and never computed: bcrypt above cost 15, SHA-crypt above 2,000,000 rounds, PBKDF2 above
  4,000,000, scrypt and yescrypt above 256 MiB or twice the work of that, Argon2 above m=1048576,
  t=16, p=16.

JSON:
  {created, updated, unchanged, deleted, bad, generated, hashes: {SCHEME: N}}. Where rows are bad, or
  with --dry-run, a list of {row, what, username, columns, reason}; what is bad, create, update or
  delete. --skip-bad writes CSV: row, column, reason, text.";

pub const USER_EXPORT: &str = "\
Examples:
  smtpcred user export > users.csv
  smtpcred user export --json | jq -r '.[].username'
  smtpcred user export --with-hashes --output users.csv          what `user import` takes back
  smtpcred user export --to dovecot-passwd --with-hashes --output /etc/dovecot/users

JSON:
  A list of {username, label, suspended_at, expires_at, daily_limit, limits: {KIND: N}, on_limit,
  senders, created_at, key_id, password_created_at}; with --with-hashes also hash, old_key_id,
  old_password_created_at, old_retires_at and old_hash. What is not set is null. CSV has the same
  names. Not in it: rules for rotation, passwords that have stopped, last connections, usage.

dovecot-passwd:
  A line for each user with its newest password; nologin for those who are suspended or expired.";
