//! What `user create`, `user import` and `user export` say below their options.

pub const USER_CREATE: &str = "\
Examples:
  smtpcred user create shop@example.com --add-domain
  smtpcred user create --domain example.com --label \"WordPress\"      wordpress-7kq3@example.com
  smtpcred user create crm@example.com --expires-in 180d --output /root/crm.password
  smtpcred user create app@example.com --reveal env >> app.env
  smtpcred user create app@example.com --reveal k8s | kubectl apply -f -
  pass show crm | smtpcred user create crm@example.com --password-stdin
  smtpcred user create --from names.csv --output-dir /root/passwords
  smtpcred user create --from names.csv --reveal json | put-into-vault

JSON:
  {username, password, key_id, host, ports: [{port, encryption, recommended}], auth, expires_at}.
  With --output, or a password of your own: the user, as `user list` prints it. With --from and
  --output-dir: {created, skipped, left, users: [{row, username, label, key_id}]}; where rows are
  bad, or with --dry-run, a list of {row, what, username, columns, reason}.

Many at once:
  CSV with a line of names first, or a JSON list of objects with the same: username (or name), alone
  or beside domain; or label and domain, which makes the name up; expires_in or expires_at,
  daily_limit, limits (messages/hour=100 recipients/day=500), on_limit, senders (with spaces). What a
  row leaves empty, the flags say: --domain, --expires-in, --daily-limit and so on. All rows are
  checked first, and all that is wrong is told at once.
  Passwords go to --output-dir DIR, a file for each, in the form that --reveal says; or to stdout,
  as lines of JSON or as CSV. All processors hash, users are created in the order of the file.

Where a run with --from ends early:
  Ctrl-C, a full disk, kill -9: those who are created stay. The same command with --skip-existing
  creates the others; of rows with a label alone as many are taken to be there as users whose name
  was made from it.
  In DIR, a file with a user's name has the password of a user that exists. Until it does, the
  password stands in .smtpcred-STORE-KEY-USERNAME; what a killed run leaves so, the next one with
  the same folder gives its name, or removes it where the user was not created.
  On stdout, {\"created\":N} after some lines says that the first N users printed exist. Of those
  printed behind the last such line, and of CSV, a line counts if `user list` shows its key_id; after
  a run with --skip-existing that ended with 0, the last line of each username does.

A password of your own:
  12 to 256 characters, and not one that is guessed first. It is printed only with --reveal or
  --output: you know it already.

Where it may go:
  Refused before anything is changed, with exit code 74: stdout that is closed or /dev/null, the
  system's journal, a file that exists.";

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
  A dump has to be whole: one that lacks the line with which its program ends is refused.

Hashes:
  As Dovecot writes them, {SCHEME}…, or by their own $id$: Argon2i and Argon2id, bcrypt, yescrypt,
  scrypt (passlib's and crypt's), PBKDF2 (Dovecot's and passlib's), SCRAM-SHA-1 and -256,
  SHA512-CRYPT, SHA256-CRYPT, MD5-CRYPT and $apr1$, SSHA512, SSHA256, SSHA, SMD5, SHA512, SHA256,
  SHA, MD5; also as LDAP has them. {PLAIN} is hashed on its way in. They are verified as they are, and become
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
