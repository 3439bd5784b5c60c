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
