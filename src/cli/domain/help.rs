//! What `--help` says below the options of `domain …`.

pub const ADD: &str = "\
Examples:
  smtpcred domain add example.com
  smtpcred domain add example.com --max-users 15 --daily-limit 1500
  smtpcred domain add bücher.example --host smtp.example.com     stored as xn--bcher-kva.example

JSON:
  {domain, users, max_users, daily_limit, host, created_at, verified_at, records: [{name, type,
  value}]}; what is not set is null.

Records:
  Lines of a zone file on stdout; what stands in `value` is what the form of a DNS provider wants.
  They can be had again, with what is there already, by `domain check`.";

pub const LIST: &str = "\
Examples:
  smtpcred domain list
  smtpcred domain list --json | jq -r '.[].domain'
  smtpcred domain list --limit 100 --after example.com   the next page

JSON:
  A list of {domain, users, max_users, daily_limit, host, created_at, verified_at}; what is not set
  is null.";

pub const SHOW: &str = "\
Examples:
  smtpcred domain show example.com

JSON:
  {domain, users, max_users, daily_limit, host, created_at, verified_at, limits: {KIND: N},
  on_limit, rotate_every_seconds, delivery: {command, write_file, write_env, env_name,
  timeout_seconds}}; what is not set is null.";

pub const SET: &str = "\
Examples:
  smtpcred domain set example.com --max-users 10
  smtpcred domain set example.com --host smtp.example.com --daily-limit none
  smtpcred domain set example.com --limit recipients/hour=1000 --on-limit suspend
  smtpcred domain set example.com --rotate-every 90d --write-file '/etc/smtp/{username}'

JSON:
  The domain, as `domain list` prints it.";

pub const REMOVE: &str = "\
Examples:
  smtpcred domain remove example.com                     asks for the name to be typed
  smtpcred domain remove example.com --with-users --yes  for scripts; there is no way back

JSON:
  The domain as it was.";

pub const CHECK: &str = "\
Examples:
  smtpcred domain check example.com --selector s1
  smtpcred domain check example.com --resolver 9.9.9.9   as that one sees it
  smtpcred domain check example.com --json | jq -r '.[] | .wanted // empty'

What is looked at:
  host                the server's name has addresses
  reverse             each of them has a name that leads back to it
  mx                  bounces can come back: names with addresses, no aliases
  spf                 one record, not broken, at most ten look-ups, that lets the server's addresses
                      send; other addresses that the relay may send from are not known here
  dkim                a key for each --selector, of 2048 bits
  dmarc               one record, of the domain or of one above it
  mta-sts, tls-rpt    whether they are right, where there are any
  verification        where `set-settings --require-verified-domains` is yes

States:
  ok, missing, wrong, warning (works, and could be better), unknown (the DNS did not say).

JSON:
  A list of {check, state, found, wanted, hint}; wanted is the record to publish, as a line of a
  zone file, or null.

Exit codes:
  0 nothing is missing or wrong, 7 something is, 75 the DNS did not say.";

pub const VERIFY: &str = "\
Examples:
  smtpcred domain verify example.com                     says what to publish, as long as it is not
  smtpcred domain verify example.com --resolver 9.9.9.9
  smtpcred set-settings --require-verified-domains yes   only users of verified domains can send

JSON:
  The domain, as `domain list` prints it; else an error: not_verified, or dns_failed.

Exit codes:
  0 verified, now or before; 7 the token is not there; 75 the DNS did not say.";
