//! What `apply` says below its options.

pub const APPLY: &str = "\
Examples:
  smtpcred apply relay.toml --dry-run                    what would change; exit code 8 if anything
  smtpcred apply relay.toml                              shows it, asks, and makes it so
  smtpcred apply relay.toml --yes --json                 for Ansible and cron
  smtpcred apply relay.toml --output-dir /root/passwords
  smtpcred apply relay.toml --prune                      users that it does not name are deleted
  generate-plan | smtpcred apply -

A plan:
  [settings]
  host = \"smtp.example.com\"
  require_verified_domains = true

  [domains.\"example.com\"]
  daily_limit = 5000
  limits = { \"recipients/hour\" = 200 }
  rotate_every = \"90d\"
  write_file = \"/etc/smtp-passwords/{username}\"

  [users.\"shop@example.com\"]
  label = \"Shop\"
  senders = [\"shop@example.com\", \"news.example.com\"]
  expires_at = 2027-06-30
  deliver = \"ssh web1 put-smtp-password\"

  [users.\"crm@example.com\"]
  suspended = true

Keys:
  [settings]    host, ports (a list), argon2, accept_hash (a list), day, allow_insecure,
                require_verified_domains
  [domains.\"…\"] host, max_users
  [users.\"…\"]   label, senders (a list), expires_at, suspended
  all three     daily_limit, limits, on_limit, rotate_every, deliver, deliver_timeout, write_file,
                write_env, env_name
  As the flags of `set-settings`, `domain set` and `user set`; \"none\" takes a value away. A key that
  is missing, and a kind of limit that is missing, stay as they are. All that is wrong in a plan is
  told at once, each thing with its line, before anything is changed.

New users:
  Their passwords go where --deliver, --write-file, --write-env or --output-dir say, or the user's,
  its domain's or the installation's rules in the plan and the store. One that did not arrive is not
  valid, and there is no such user; the others are made, and the next run tries again. What a file
  holds already, or a variable in it, is never written over, but for what a run that was killed left
  for the same user. While passwords are delivered, no rotation runs.

Questions:
  At a terminal it asks once. Without one, and with the plan on standard input, it goes ahead, like
  --yes; but where users would be deleted it needs --yes.

Others at the same time:
  What somebody changed since the difference was shown is left as it is, and named.

JSON:
  {changes: [{action: create | change | delete, kind: settings | domain | user, name, fields: {FIELD:
  {from, to}}, delivery, outcome: planned | done | unneeded | failed | left, key_id, reason}],
  applied}. What is not there is null; of CSV there is a row for each field. Where the plan is wrong,
  a list of {line, key, reason}.

Exit codes:
  0 it is so now; with --dry-run: it was so. 8 something would change. 2 the plan is wrong. 1 some
  changes could not be made.";
