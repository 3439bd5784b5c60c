# Lists these recipes.
default:
    @just --list

# Runs one test, a file of tests, or a group: `just test rotation::outage`.
test name:
    #!/bin/sh
    set -eu
    name='{{name}}'
    group=${name%%::*}
    rest=${name#"$group"}
    exec cargo test --locked --test "$group" -- --include-ignored "${rest#::}"

# Runs the unit tests whose names contain this, or all.
unit name='':
    cargo test --locked --lib -- '{{name}}'

# Checks format and lints.
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo clippy --locked --no-default-features -- -D warnings

# Measures: `just bench figures list`.
bench name *args:
    cargo bench --locked --bench {{name}} -- {{args}}

# Runs the program on a store in target/.
[positional-arguments]
run *args:
    cargo run --locked -- --store target/try.db "$@"

# Everything that has to hold before a change lands. Installs mail servers: see tests/run.
ci:
    .ci/run
