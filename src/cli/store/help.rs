//! What `--help` says below the options of `store …`.

pub const MAINTAIN: &str = "\
Examples:
  smtpcred store maintain                                from the timer, with everything running
  smtpcred store maintain --dry-run                      what there is to do
  smtpcred store maintain --vacuum                       where nothing else has to be written

What is done:
  usage       forgotten after 400 days
  failures    refused sign-ins: forgotten 30 days after the last one, or beyond the latest 10,000
  counts      forgotten where no limit looks at them any more
  hashes      of passwords that retired 30 days ago: erased
  statistics  of what the tables hold, so that everything is found quickly
  space       given back to the system where a quarter of the file holds nothing
  Events and users are kept. Nothing takes longer than some milliseconds at a time, so that others
  can write in between: killed at any point, the next run does the rest.

Space:
  Stores made by older versions have to be written anew as a whole to become smaller. Sign-ins go on
  meanwhile, but nobody can write, so this is done only to small ones, or with --vacuum. It takes as
  much free space on the disk as the store has, twice.

JSON:
  A list of {task, what, rows, bytes}; rows and bytes are null where they are not counted.";

pub const INIT: &str = "\
Examples:
  smtpcred store init
  smtpcred --store postgres://smtpcred@db.example.com/mail store init
  smtpcred --store 'postgres://u@db1,db2/mail?target_session_attrs=read-write' store init

A database:
  postgres://[USER@][HOST[:PORT][,…]]/[DATABASE][?PARAMETER=VALUE&…], as PostgreSQL's own programs
  take it, and what it leaves out from PGHOST, PGPORT, PGUSER, PGDATABASE, PGSSLMODE, PGSSLROOTCERT,
  PGSSLCERT, PGSSLKEY, PGPASSFILE and PGPASSWORD. The password comes from ~/.pgpass or
  ?passfile=FILE, never from the URL. Without sslmode, servers on the network have to show a
  certificate of their name (verify-full). Of several servers the primary is used, wherever it is.

JSON:
  The store, as `store status` prints it.";

pub const MIGRATE: &str = "\
Examples:
  smtpcred --store postgres:///mail store migrate

JSON:
  The store, as `store status` prints it.";

pub const STATUS: &str = "\
Examples:
  smtpcred store status
  smtpcred store status --json | jq .users

JSON:
  {store, engine, schema, program_schema, domains, users, events, bytes}; engine is sqlite or
  postgresql; counts are null where the schema is another one than this program knows, bytes where
  the database server keeps them.

Exit codes:
  0; 7 if the schema is another one than this program knows.";

pub const COPY: &str = "\
Examples:
  smtpcred store copy /var/lib/smtpcred/smtpcred.db postgres://smtpcred@db.example.com/mail
  smtpcred store copy postgres:///mail /root/smtpcred-copy.db

Everything goes along: hashes, events with their numbers, limits, counts, unfinished rotations. Stop
`serve`, or let it go on: it writes down what it found out once the copy is done, to the store that
it was started with.

JSON:
  A list of {table, rows, digest}; the digest is the same in both.";

pub const GRANT: &str = "\
Examples:
  smtpcred store grant --role signin --to relay1         for `serve` on a relay
  smtpcred store grant --role operator --to ana          for who creates and resets users
  smtpcred store grant --role auditor --to monitoring    for who only looks
  smtpcred store grant --role none --to relay1           takes it all away

Roles:
  signin    reads everything; writes last connections, counts, usage, refused sign-ins and events;
            of users and passwords it changes what expires, retires or is hashed anew. It
            suspends who has met a limit, also where --on-limit says delete. It creates, resumes and
            deletes nobody; but hashes it may write, so keep its password as safe as a relay.
  operator  changes everything but the events, which it can only add to.
  auditor   reads everything but the hashes.

JSON:
  {role, to}.";
