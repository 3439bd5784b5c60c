//! First guesses of an admin who knows mail servers but not this program. Each guess works, or
//! the error names the right command: typing that is the only other step.

use std::fs;

use clap::error::ErrorKind;

use crate::support::{Run, Sandbox};

/// Guesses that do what was meant.
const WORK: &[&str] = &[
    "--help",
    "-h",
    "help",
    "--version",
    "-V",
    "help user",
    "help user create",
    "user --help",
    "user add --help",
    "domain ls",
    "domain list",
    "domain create example.org",
    "domain new example.org",
    "domain add example.org",
    "domain rm empty.example --yes",
    "domain delete empty.example -y",
    "domain del empty.example -y",
    "domain info example.com",
    "domain get example.com",
    "domain show example.com",
    "domain edit example.com --max-users 10",
    "domain update example.com --max-users 10",
    "domain modify example.com --max-users 10",
    "user ls",
    "user list",
    "user list shop",
    "user list example.com",
    "user ls --json",
    "user list --format json",
    "user list --format=csv",
    "user list --domain example.com",
    "user list --domain=example.com --json",
    "user list --status active",
    "config ls",
    "config show",
    "domain rm empty.example empty.example --yes",
    "user add new@example.com",
    "user new new@example.com",
    "user create new@example.com",
    "user create NEW@EXAMPLE.COM",
    "user create new@example.com --json",
    "user add --domain example.com --label WordPress",
    "user add a@example.org --add-domain",
    "user passwd shop@example.com",
    "user password shop@example.com",
    "user reset shop@example.com",
    "user rm shop@example.com --yes",
    "user remove shop@example.com -y",
    "user del shop@example.com -y",
    "user delete shop@example.com --yes",
    "user disable shop@example.com",
    "user lock shop@example.com",
    "user suspend shop@example.com",
    "user enable shop@example.com",
    "user unlock shop@example.com",
    "user unsuspend shop@example.com",
    "user resume shop@example.com",
    "user info shop@example.com",
    "user get shop@example.com",
    "user show shop@example.com",
    "user show Shop@Example.com",
    "user edit shop@example.com --label 'Web shop'",
    "user update shop@example.com --daily-limit 100",
    "user modify shop@example.com --daily-limit 100",
    "user export",
    "user import users.csv",
    "user import users.csv --dry-run",
    "user import users.json",
    "user import passwd",
    "user create --file names.csv --reveal json",
    "audit ls",
    "audit list",
    "audit log",
    "store status",
    "store info",
    "store create",
    "store verify",
    "store init",
    "show-settings",
    "set-settings --host smtp.example.com",
    "usage",
];

/// Guesses, and the command that the error suggests for each.
const LEAD: &[(&str, &str)] = &[
    ("list", "smtpcred user list"),
    ("ls", "smtpcred user list"),
    ("users", "smtpcred user list"),
    ("users list", "smtpcred user list"),
    ("list users", "smtpcred user list"),
    ("list --json", "smtpcred user list"),
    ("accounts", "smtpcred user list"),
    ("domains", "smtpcred domain list"),
    ("list domains", "smtpcred domain list"),
    ("domains ls", "smtpcred domain list"),
    (
        "create new@example.com",
        "smtpcred user create new@example.com",
    ),
    ("create", "smtpcred user create"),
    (
        "add new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "new new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "adduser new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "useradd new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "add user new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "create user new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "create-user new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "account create new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "mailbox add new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "credentials create new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "cred add new@example.com",
        "smtpcred user create new@example.com",
    ),
    ("add example.org", "smtpcred domain add example.org"),
    ("add domain example.org", "smtpcred domain add example.org"),
    (
        "create domain example.org",
        "smtpcred domain add example.org",
    ),
    ("add-domain example.org", "smtpcred domain add example.org"),
    (
        "passwd shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    (
        "password shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    (
        "reset shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    (
        "reset-password shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    (
        "chpasswd shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    (
        "user reset-password shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    (
        "user set-password shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    (
        "user chpasswd shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    ("rotate", "smtpcred user rotate"),
    (
        "rotate shop@example.com",
        "smtpcred user rotate shop@example.com",
    ),
    ("import users.csv", "smtpcred user import"),
    ("export", "smtpcred user export"),
    (
        "show shop@example.com",
        "smtpcred user show shop@example.com",
    ),
    ("show example.com", "smtpcred domain show example.com"),
    (
        "info shop@example.com",
        "smtpcred user show shop@example.com",
    ),
    (
        "get shop@example.com",
        "smtpcred user show shop@example.com",
    ),
    (
        "delete shop@example.com",
        "smtpcred user delete shop@example.com",
    ),
    (
        "rm shop@example.com",
        "smtpcred user delete shop@example.com",
    ),
    ("remove example.com", "smtpcred domain remove example.com"),
    (
        "delete user shop@example.com",
        "smtpcred user delete shop@example.com",
    ),
    (
        "deluser shop@example.com",
        "smtpcred user delete shop@example.com",
    ),
    (
        "userdel shop@example.com",
        "smtpcred user delete shop@example.com",
    ),
    (
        "revoke shop@example.com",
        "smtpcred user suspend shop@example.com",
    ),
    (
        "disable shop@example.com",
        "smtpcred user suspend shop@example.com",
    ),
    (
        "suspend shop@example.com",
        "smtpcred user suspend shop@example.com",
    ),
    (
        "block shop@example.com",
        "smtpcred user suspend shop@example.com",
    ),
    (
        "enable shop@example.com",
        "smtpcred user resume shop@example.com",
    ),
    (
        "user block shop@example.com",
        "smtpcred user suspend shop@example.com",
    ),
    (
        "user unblock shop@example.com",
        "smtpcred user resume shop@example.com",
    ),
    (
        "user view shop@example.com",
        "smtpcred user show shop@example.com",
    ),
    (
        "user change shop@example.com",
        "smtpcred user set shop@example.com",
    ),
    (
        "user limit shop@example.com",
        "smtpcred user set shop@example.com",
    ),
    ("user search shop", "smtpcred user list"),
    ("user find shop", "smtpcred user list"),
    ("search shop", "smtpcred user list"),
    ("user count", "smtpcred user list"),
    (
        "user verify shop@example.com",
        "smtpcred verify shop@example.com",
    ),
    (
        "user test shop@example.com",
        "smtpcred test shop@example.com",
    ),
    ("user why shop@example.com", "smtpcred why shop@example.com"),
    ("user usage", "smtpcred usage"),
    (
        "user status shop@example.com",
        "smtpcred user show shop@example.com",
    ),
    ("version", "smtpcred --version"),
    ("logs", "smtpcred audit list"),
    ("log", "smtpcred audit list"),
    ("history", "smtpcred audit list"),
    ("events", "smtpcred audit list"),
    ("failures", "smtpcred audit failures"),
    ("init", "smtpcred store init"),
    ("migrate", "smtpcred store migrate"),
    ("db init", "smtpcred store init"),
    ("database status", "smtpcred store status"),
    ("settings", "smtpcred show-settings"),
    ("settings list", "smtpcred show-settings"),
    ("set", "smtpcred set-settings"),
    (
        "server-config postfix",
        "smtpcred show-server-config postfix",
    ),
    ("postfix", "smtpcred show-server-config postfix"),
    ("stats", "smtpcred usage"),
    ("statistics", "smtpcred usage"),
    ("quota", "smtpcred usage"),
    ("check", "smtpcred doctor"),
    ("check example.com", "smtpcred domain check example.com"),
    ("check shop@example.com", "smtpcred why shop@example.com"),
    ("dns example.com", "smtpcred domain check example.com"),
    ("dkim example.com", "smtpcred domain check example.com"),
    ("health", "smtpcred doctor"),
    ("diagnose", "smtpcred doctor"),
    ("auth shop@example.com", "smtpcred verify shop@example.com"),
    ("login shop@example.com", "smtpcred verify shop@example.com"),
    (
        "check-password shop@example.com",
        "smtpcred verify shop@example.com",
    ),
    ("send shop@example.com", "smtpcred test shop@example.com"),
    ("start", "systemctl start smtpcred-auth.socket"),
    ("stop", "systemctl stop 'smtpcred*'"),
    ("service start", "systemctl start smtpcred-auth.socket"),
    ("service restart", "systemctl restart smtpcred"),
    ("daemon", "smtpcred serve"),
    ("server", "smtpcred status"),
    ("server status", "smtpcred status"),
    ("service status", "smtpcred status"),
    ("--status", "smtpcred status"),
    ("show status", "smtpcred status"),
    ("show users", "smtpcred user list"),
    ("show domains", "smtpcred domain list"),
    ("config test", "smtpcred doctor"),
    ("test-config", "smtpcred doctor"),
    ("cert", "smtpcred doctor"),
    ("tls", "smtpcred doctor"),
    ("repair", "smtpcred doctor"),
    ("policy", "smtpcred doctor"),
    (
        "domain rename example.com example.org",
        "user rename OLD NEW",
    ),
    ("suspended-users", "smtpcred user list --status suspended"),
    ("suspended", "smtpcred user list --status suspended"),
    ("user suspended", "smtpcred user list --status suspended"),
    ("blocked", "smtpcred user list --status suspended"),
    ("expired", "smtpcred user list --status expired"),
    ("expiring", "smtpcred user list --expiring 14d"),
    ("overlap", "smtpcred user list --overlap"),
    ("rotations", "smtpcred user list --overlap"),
    ("auth-log", "smtpcred audit failures"),
    ("rejected", "smtpcred audit failures"),
    (
        "reset password shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    (
        "change password shop@example.com",
        "smtpcred user reset shop@example.com",
    ),
    (
        "user expire shop@example.com 2026-12-31",
        "user set shop@example.com --expires-at 2026-12-31",
    ),
    (
        "user expire shop@example.com 90d",
        "user set shop@example.com --expires-in 90d",
    ),
    ("undo", "smtpcred setup postfix --undo"),
    ("uninstall", "smtpcred setup postfix --undo"),
    ("mailq", "postqueue -p"),
    ("queue", "postqueue -p"),
    ("cron", "/usr/share/doc/smtpcred/examples"),
    ("timer", "smtpcred-rotate.timer"),
    ("fail2ban", "smtpcred audit failures"),
    (
        "whois shop@example.com",
        "smtpcred user show shop@example.com",
    ),
    ("shop@example.com", "smtpcred user show shop@example.com"),
    ("user ls --sort last", "'used'"),
    (
        "user set shop@example.com --name Shop",
        "smtpcred user rename OLD NEW",
    ),
    (
        "snippet shop@example.com",
        "smtpcred show-settings shop@example.com",
    ),
    ("help topics", "smtpcred --help"),
    ("help passwd", "smtpcred user reset"),
    ("man", "smtpcred --help"),
    ("usr list", "smtpcred user list"),
    ("doman list", "smtpcred domain list"),
    ("user lst", "smtpcred user list"),
    (
        "user creat new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "user susped shop@example.com",
        "smtpcred user suspend shop@example.com",
    ),
    ("user show shpo@example.com", "shop@example.com"),
    ("user show shop", "shop@example.com"),
    ("user show shop@exmaple.com", "shop@example.com"),
    ("user show 'Web shop'", "shop@example.com"),
    ("user reset shop@example.con", "shop@example.com"),
    ("domain show exmaple.com", "example.com"),
    ("domain show example", "example.com"),
    ("user list --domain exmaple.com", "example.com"),
    (
        "user create new@nowhere.example",
        "smtpcred user create new@nowhere.example --add-domain",
    ),
    ("user create new", "new@example.com"),
    (
        "user create new@example.com secret-Of-mine-42",
        "--password-stdin",
    ),
    (
        "user create new@example.com --password secret-Of-mine-42",
        "--password-stdin",
    ),
    (
        "user create new@example.com -p secret-Of-mine-42",
        "--password-stdin",
    ),
    (
        "user create --user new@example.com",
        "smtpcred user create new@example.com",
    ),
    (
        "user create --email new@example.com",
        "smtpcred user create new@example.com",
    ),
    ("user list -d example.com", "--domain"),
    ("user list -j", "--json"),
    ("user list -o json", "--json"),
    ("user list --output json", "--json"),
    ("user list --format yaml", "json"),
    ("user delete shop@example.com --force", "--yes"),
    ("user delete shop@example.com -f", "--yes"),
    ("user delete shop@example.com", "--yes"),
    ("user set shop@example.com --quota 100", "--daily-limit"),
    ("user set shop@example.com --expire 30d", "--expires-in"),
    ("user set shop@example.com --expires 30d", "--expires-in"),
    ("user set shop@example.com --description Shop", "--label"),
    (
        "user set shop@example.com --from sales@example.com",
        "--sender",
    ),
    ("user list --db /tmp/x", "--store"),
    ("user list --status disabled", "suspended"),
    (
        "user tag shop@example.com env=prod",
        "user set shop@example.com --tag",
    ),
    (
        "user note shop@example.com 'moved to web2'",
        "user set shop@example.com --note",
    ),
    ("config view", "config list"),
    ("backup", "store backup"),
    ("store snapshot", "store backup"),
    ("dump", "store backup"),
    ("restore", "store restore FILE"),
    ("rollback copy.db", "store restore FILE"),
    ("audit -f", "audit list --follow"),
    ("status -f", "--watch"),
    ("status --follow", "--watch"),
    ("audit list --watch", "--follow"),
    ("audit -n 20", "audit list --last 20"),
    ("audit list -n 20", "--last"),
    ("user list -n 5", "--limit"),
    ("user rotate -n", "--dry-run"),
    ("apply -n plan.toml", "--dry-run"),
    ("apply -f plan.toml", "apply PLAN"),
    ("user import -f users.csv", "user import FILE"),
    ("user create -f users.csv", "--file"),
    (
        "rename shop@example.com store@example.com",
        "user rename shop@example.com store@example.com",
    ),
    (
        "mv shop@example.com store@example.com",
        "user rename shop@example.com store@example.com",
    ),
    (
        "user move shop@example.com store@example.com",
        "user rename shop@example.com store@example.com",
    ),
    (
        "user rename shop store",
        "user rename shop@example.com store@example.com",
    ),
    (
        "cp shop@example.com blog@example.com",
        "user copy shop@example.com blog@example.com",
    ),
    (
        "user clone shop@example.com blog@example.com",
        "user copy shop@example.com blog@example.com",
    ),
    (
        "user set shop@example.com --name store@example.com",
        "user rename shop@example.com store@example.com",
    ),
    (
        "user set shop@example.com --username=store@example.com",
        "user rename shop@example.com store@example.com",
    ),
    (
        "user set --rename store@example.com shop@example.com",
        "user rename shop@example.com store@example.com",
    ),
    ("get-settings", "show-settings"),
    ("show settings", "show-settings"),
    ("settings set --host smtp.example.com", "set-settings"),
    ("set-setting", "set-settings"),
    ("-v", "smtpcred --version"),
    ("--verbose", "smtpcred doctor"),
    ("user create new@example.com --verbose", "smtpcred doctor"),
    ("install postfix", "smtpcred setup postfix"),
    ("ps", "smtpcred status"),
    ("top", "status --watch"),
    ("tail", "audit list --follow"),
    ("logs -f", "audit list --follow"),
    ("info", "smtpcred status"),
    ("who", "smtpcred session list"),
    (
        "sessions shop@example.com",
        "session list --user shop@example.com",
    ),
    ("logout shop@example.com", "session end shop@example.com"),
    (
        "session kick shop@example.com",
        "session end shop@example.com",
    ),
    ("last", "user list --sort used"),
    ("last shop@example.com", "user show shop@example.com"),
    ("lock shop@example.com", "user suspend shop@example.com"),
    ("unlock shop@example.com", "user resume shop@example.com"),
    (
        "suspend shop@example.com crm@example.com",
        "user suspend shop@example.com crm@example.com",
    ),
    ("chpass shop@example.com", "user reset shop@example.com"),
    ("adduser", "user create"),
    ("deluser", "user delete"),
    ("usermod shop@example.com", "user set shop@example.com"),
    ("new", "user create"),
    ("find shop@example.com", "user list shop@example.com"),
    ("find shop", "user list TEXT"),
    (
        "history shop@example.com",
        "audit list --user shop@example.com",
    ),
    (
        "user history shop@example.com",
        "audit list --user shop@example.com",
    ),
    (
        "user log shop@example.com",
        "audit list --user shop@example.com",
    ),
    (
        "audit shop@example.com",
        "audit list --user shop@example.com",
    ),
    (
        "audit list shop@example.com",
        "audit list --user shop@example.com",
    ),
    ("audit example.com", "audit list --domain example.com"),
    (
        "audit failures shop@example.com",
        "audit failures --user shop@example.com",
    ),
    ("audit --since 1d", "audit list --since"),
    ("status shop@example.com", "user show shop@example.com"),
    ("user shop@example.com", "user show shop@example.com"),
    ("user example.com", "user list example.com"),
    ("domain example.com", "domain show example.com"),
    ("--list-users", "user list"),
    ("user --list", "user list"),
    (
        "user --delete shop@example.com",
        "user delete shop@example.com",
    ),
    ("restart", "systemctl restart smtpcred"),
    ("reload", "systemctl restart smtpcred"),
    ("pw", "user reset"),
    ("auth test shop@example.com", "verify shop@example.com"),
    ("kick shop@example.com", "session end shop@example.com"),
    (
        "kill session shop@example.com",
        "session end shop@example.com",
    ),
    (
        "end sessions shop@example.com",
        "session end shop@example.com",
    ),
    ("alert add", "set-settings --alert-mail ADDRESS"),
    ("alert add root", "set-settings --alert-mail ADDRESS"),
    ("alerts", "alert list"),
    ("scan /srv --close", "user close NAME"),
    (
        "user allow shop@example.com app.example.com",
        "getent ahosts app.example.com",
    ),
    (
        "user set shop@example.com --from 192.0.2.10",
        "user allow shop@example.com 192.0.2.10",
    ),
    (
        "domain set example.com --allow-ip 192.0.2.0/24",
        "domain allow example.com 192.0.2.0/24",
    ),
    (
        "user restrict shop@example.com",
        "user allow shop@example.com",
    ),
    (
        "user learn shop@example.com",
        "user set shop@example.com --addresses learn",
    ),
    ("stolen shop@example.com", "user close shop@example.com"),
    (
        "user leaked shop@example.com",
        "user close shop@example.com",
    ),
    ("notify", "set-settings --alert-mail ADDRESS"),
    ("set-settings --notify root", "--alert-mail"),
    ("log errors", "audit failures"),
    ("mail list", "messages list"),
    ("delivery", "messages list"),
    (
        "track shop@example.com",
        "messages list --user shop@example.com",
    ),
    ("bounces", "messages list --state bounced"),
    ("message list", "messages list"),
    ("quota shop@example.com", "user show shop@example.com"),
    ("quota get shop@example.com", "user show shop@example.com"),
    ("config -n", "config list"),
    ("stats dump", "smtpcred usage"),
    (
        "mailbox delete shop@example.com",
        "user delete shop@example.com",
    ),
    ("domain view example.com", "domain show example.com"),
    ("alias add sales@example.com", "user set --sender ADDRESS"),
    ("is-active shop@example.com", "why shop@example.com"),
    ("list-domains", "domain list"),
    ("mask shop@example.com", "user suspend shop@example.com"),
    ("cat shop@example.com", "user show shop@example.com"),
    ("edit shop@example.com", "user set shop@example.com"),
    ("user list -L 5", "--limit"),
    ("user list --search shop", "user list TEXT"),
    ("user list --jq .username", "--json"),
    ("user list --state suspended", "--status"),
    ("user list --expired", "--status expired"),
    ("user list --disabled", "--status suspended"),
    ("user list --unused", "--never-used"),
    ("user list --all", "--wide"),
    ("user list -v", "--wide"),
    ("user edit shop@example.com --add-tag env=prod", "--tag"),
    (
        "user set shop@example.com --disable",
        "user suspend shop@example.com",
    ),
    (
        "user set shop@example.com --active no",
        "user suspend shop@example.com",
    ),
    (
        "user set shop@example.com --status Suspended",
        "user suspend shop@example.com",
    ),
    (
        "user set shop@example.com --status disabled",
        "user suspend shop@example.com",
    ),
    (
        "user set shop@example.com --active False",
        "user suspend shop@example.com",
    ),
    (
        "user set shop@example.com --enabled=NO",
        "user suspend shop@example.com",
    ),
    ("user show-password shop@example.com", "shown once"),
    ("get-password shop@example.com", "shown once"),
    (
        "user delete-user shop@example.com",
        "user delete shop@example.com",
    ),
    (
        "user set shop@example.com --active 1",
        "user resume shop@example.com",
    ),
    ("user set shop@example.com --password", "user reset NAME"),
    ("completion -s bash", "completion bash"),
    ("completion --shell zsh", "completion zsh"),
    ("configtest", "smtpcred doctor"),
    ("lookup shop@example.com", "user show shop@example.com"),
    ("user create new@example.com --generate", "--short-password"),
    (
        "user create new@example.com --length 32",
        "--short-password",
    ),
    ("usage shop@example.com", "user show shop@example.com"),
    ("usage example.com", "usage --by domain"),
    ("why example.com", "domain check example.com"),
    ("user show example.com", "domain show example.com"),
    (
        "test shop@example.com you@example.org",
        "test shop@example.com --to ADDRESS",
    ),
    ("show-settings python", "--for python"),
    (
        "show-settings shop@example.com python",
        "show-settings shop@example.com --for python",
    ),
    ("show-settings shop@example.com --client python", "--for"),
    ("user import --file users.csv", "user import FILE"),
    (
        "domain suspend example.com",
        "smtpcred user suspend --domain example.com",
    ),
    (
        "domain resume example.com",
        "smtpcred user resume --domain example.com",
    ),
    (
        "suspend example.com",
        "smtpcred user suspend --domain example.com",
    ),
    (
        "domain add example.org example.net",
        "smtpcred domain add example.net",
    ),
    ("user list --staus active", "did you mean --status?"),
    (
        "user rotate shop@example.com --dryrun",
        "did you mean --dry-run?",
    ),
    (
        "user create new@example.com --from sales@example.com",
        "--sender ADDRESS",
    ),
    ("user retire shop@example.com a b", "--password-id ID"),
    ("setup", "SERVER is one of: postfix, exim, dovecot"),
    ("show-server-config", "SERVER is one of: "),
    ("config get", "KEY is one of: "),
    ("config set", "KEY is one of: "),
    (
        "domain remove example.com empty.example --yes",
        "smtpcred domain remove example.com empty.example --yes --with-users",
    ),
    ("store path", "store status"),
    ("store check", "store status"),
    ("store vacuum", "store maintain"),
    ("set host smtp.example.com", "set-settings"),
    ("config set host smtp.example.com", "set-settings --host"),
    ("config get host", "show-settings"),
    ("domain users example.com", "user list example.com"),
    (
        "key rotate shop@example.com",
        "user rotate shop@example.com",
    ),
    ("user tokens shop@example.com", "user show shop@example.com"),
    ("sender add shop@example.com", "user set --sender ADDRESS"),
    ("limit shop@example.com 100", "user set shop@example.com"),
    ("bash-completion", "smtpcred completion"),
    ("metrics", "status --json"),
    ("help rotate", "user rotate --help"),
    ("plan", "apply --dry-run"),
    ("domain remove empty.example -r", "--with-users"),
    (
        "audit --user shop@example.com",
        "audit list --user shop@example.com",
    ),
    ("audit --last 5", "audit list --last 5"),
    ("audit show 5", "smtpcred audit list"),
    (
        "audit search shop@example.com",
        "audit list --user shop@example.com",
    ),
    (
        "user reset-pw shop@example.com",
        "user reset shop@example.com",
    ),
    (
        "user set-note shop@example.com x",
        "user set shop@example.com --note TEXT",
    ),
    (
        "user set-limit shop@example.com 100",
        "user set shop@example.com",
    ),
    (
        "user add-tag shop@example.com env=prod",
        "user set shop@example.com --tag KEY=VALUE",
    ),
    (
        "user remove-tag shop@example.com env",
        "user set shop@example.com --remove-tag KEY",
    ),
    (
        "user add-sender shop@example.com a@example.com",
        "user set shop@example.com --sender ADDRESS",
    ),
    ("user list-all", "user list"),
    (
        "user ips shop@example.com",
        "user addresses shop@example.com",
    ),
    ("set-host smtp.example.com", "set-settings --host"),
    ("show-ports", "show-settings"),
    ("ports", "show-settings"),
    ("htpasswd shop@example.com", "user reset shop@example.com"),
    ("user create new@example.com -l Shop", "--label"),
    (
        "user create new@example.com --expires 2099-01-01",
        "--expires-at",
    ),
    (
        "user create new@example.com b@example.com",
        "user create --file",
    ),
    ("user export users.csv", "user export --output FILE"),
    ("user list --sort-by age", "--sort"),
    ("journal -f", "audit list --follow"),
    ("passwd -l shop@example.com", "user reset shop@example.com"),
    ("show-user shop@example.com", "user show shop@example.com"),
    ("show config", "smtpcred config list"),
    (
        "user expire shop@example.com 30d",
        "user set shop@example.com --expires-in 30d",
    ),
    (
        "domain quota example.com 100",
        "domain set example.com --daily-limit N",
    ),
];

/// A store with two users, and files to import.
fn furnished() -> Sandbox {
    let sandbox = Sandbox::new();
    let hash = "{SHA}uPjnudZV1YuWMljayKV2ogT8KFs=";
    let files = [
        (
            "users.csv",
            format!("username,hash\nb@example.com,{hash}\n"),
        ),
        (
            "users.json",
            format!("[{{\"username\": \"c@example.com\", \"hash\": \"{hash}\"}}]"),
        ),
        ("passwd", format!("d@example.com:{hash}::::::\n")),
        ("names.csv", "username\ne@example.com\n".to_owned()),
    ];
    for (name, text) in files {
        fs::write(sandbox.folder.path().join(name), text).unwrap();
    }
    sandbox.create("shop@example.com");
    sandbox.noted(&["user", "set", "shop@example.com", "--label", "Web shop"]);
    sandbox.create("crm@example.com");
    sandbox.noted(&["domain", "add", "empty.example"]);
    sandbox
}

/// The same again, for a guess that may change it.
fn again(furnished: &Sandbox) -> Sandbox {
    let sandbox = Sandbox::empty();
    let (from, to) = (furnished.folder.path(), sandbox.folder.path());
    fs::create_dir(to.join("data")).unwrap();
    for name in [
        "users.csv",
        "users.json",
        "passwd",
        "names.csv",
        "data/smtpcred.db",
    ] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    sandbox
}

fn guess(furnished: &Sandbox, line: &str) -> Run {
    let words = shlex::split(line).unwrap();
    again(furnished).run(&words)
}

#[test]
fn the_first_guess_works_or_is_answered_with_the_command() {
    let furnished = furnished();
    let mut failed = Vec::new();
    for line in WORK {
        let run = guess(&furnished, line);
        if run.code != 0 {
            failed.push(format!("{line}: {} {}", run.code, run.stderr));
        }
    }
    for (line, command) in LEAD {
        let run = guess(&furnished, line);
        let leads = run.stderr.contains(command);
        if run.code == 0 && !line.contains("--domain") || !leads {
            failed.push(format!(
                "{line}: not {command}: {} {}",
                run.code, run.stderr
            ));
        }
    }
    let all = WORK.len() + LEAD.len();
    assert!(all >= 100);
    assert!(
        failed.is_empty(),
        "{} of {all}:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

/// A suggestion that would do the opposite, or destroy something, is worse than none.
#[test]
fn what_may_do_harm_is_not_suggested() {
    let furnished = furnished();
    for line in [
        "user set shop@example.com --disable no",
        "user set shop@example.com --suspend=False",
        "user set shop@example.com --status expired",
        "user list --active no",
        "user show-password shop@example.com",
        "user get-password shop@example.com",
        "user delete-password shop@example.com",
        "user drop-password shop@example.com",
        "user reset-usage shop@example.com",
        "user remove-sender shop@example.com a@example.com",
        "user suspend-rotation shop@example.com",
        "domain delete-user shop@example.com",
    ] {
        let run = guess(&furnished, line);
        assert_eq!(run.code, 2, "{line}: {run:?}");
        assert!(!run.stderr.contains("did you mean"), "{line}: {run:?}");
    }
}

/// Puts values in the place of their names.
fn completed(line: &str) -> String {
    let values = [
        ("ADDRESS", "sales@example.com"),
        ("HOST", "smtp.example.com"),
        ("--host …", "--host smtp.example.com"),
        ("KEY=VALUE", "env=prod"),
        ("--remove-tag KEY", "--remove-tag env"),
        ("--daily-limit N", "--daily-limit 100"),
    ];
    let replace = |line: String, (name, value)| line.replace(name, value);
    values.into_iter().fold(line.to_owned(), replace)
}

/// What is suggested is a command line that the program accepts, but for what is missing.
#[test]
fn what_is_suggested_is_a_command() {
    let furnished = furnished();
    let sandbox = again(&furnished);
    for (line, _) in LEAD {
        let run = sandbox.run(&shlex::split(line).unwrap());
        let suggested = run
            .stderr
            .lines()
            .filter(|said| said.starts_with("hint:"))
            .filter_map(|said| said.split_once("did you mean: "));
        for (_, suggested) in suggested {
            let suggested = &completed(suggested);
            let words = shlex::split(suggested);
            let words = words.unwrap_or_else(|| panic!("{line}: {suggested}"));
            let parsed = smtpcred::cli::command().try_get_matches_from(words);
            let kind = parsed.err().map(|error| error.kind());
            let good = matches!(
                kind,
                None | Some(
                    ErrorKind::DisplayHelp
                        | ErrorKind::DisplayVersion
                        | ErrorKind::MissingRequiredArgument
                        | ErrorKind::MissingSubcommand
                )
            );
            assert!(good, "{line}: {suggested}: {kind:?}");
        }
    }
}

/// A password in the wrong place is not repeated on the terminal or in a log.
#[test]
fn p1_a_password_typed_as_an_argument_is_not_repeated() {
    let sandbox = Sandbox::new();
    let secret = "secret-Of-mine-42";
    for line in [
        "user create new@example.com secret-Of-mine-42",
        "user create new@example.com --password secret-Of-mine-42",
        "user create new@example.com --password=secret-Of-mine-42",
        "user create new@example.com -p secret-Of-mine-42",
        "passwd shop@example.com secret-Of-mine-42",
        "verify shop@example.com secret-Of-mine-42",
        "verify secret-Of-mine-42 shop@example.com",
        "verify shop@example.com --password=secret-Of-mine-42",
        "verify shop@example.com -psecret-Of-mine-42",
        "test shop@example.com --password secret-Of-mine-42",
        "user reset shop@example.com secret-Of-mine-42",
        "user reset secret-Of-mine-42 shop@example.com",
        "user reset shop@example.com --choose-password secret-Of-mine-42",
        "user reset shop@example.com --choose-password=secret-Of-mine-42",
        "user reset shop@example.com --password-stdin=secret-Of-mine-42",
        "user reset shop@example.com --new-password=secret-Of-mine-42",
        "user reset shop@example.com:secret-Of-mine-42",
        "user create new@example.com:secret-Of-mine-42",
        "user create --label x new@example.com secret-Of-mine-42",
        "user copy shop@example.com new@example.com secret-Of-mine-42",
        "user rename shop@example.com new@example.com secret-Of-mine-42",
        "user set shop@example.com secret-Of-mine-42",
        "user set shop@example.com --password=secret-Of-mine-42",
        "user rotate shop@example.com secret-Of-mine-42",
        "user retire shop@example.com secret-Of-mine-42",
        "user show shop@example.com secret-Of-mine-42",
        "why shop@example.com secret-Of-mine-42",
        "show-settings shop@example.com secret-Of-mine-42",
        "user set-password shop@example.com secret-Of-mine-42",
        "auth shop@example.com secret-Of-mine-42",
        "domain set example.com secret-Of-mine-42",
        "domain check example.com secret-Of-mine-42",
        "user create new@example.com --pass:secret-Of-mine-42",
        "user create new@example.com --pw-secret-Of-mine-42",
        "user set shop@example.com --passwordsecret-Of-mine-42",
        "user list --secret-Of-mine-42",
    ] {
        for more in ["", " --json"] {
            let run = sandbox.run(&shlex::split(&format!("{line}{more}")).unwrap());
            assert_eq!(run.code, 2, "{line}: {run:?}");
            assert!(!run.stderr.contains(secret), "{line}: {run:?}");
        }
    }
}
