//! A real Prometheus scrapes `serve`: what it stores is what the store says.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::metrics::{bound, given, message};
use crate::support::relay::{Client, Relay, import};
use crate::support::{Sandbox, Server, relay, wait_for};

const PASSWORD: &str = "vague-Otter-61";
const USERS: u32 = 5;

struct Prometheus {
    address: String,
    _server: Server,
}

impl Prometheus {
    /// Scrapes this address every second, with the rules that are shipped.
    fn start(folder: &Path, scraped: &str) -> Self {
        let rules =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/prometheus/smtpcred.rules.yml");
        let config = folder.join("prometheus.yml");
        let text = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{}]\n\
             scrape_configs: [{{job_name: smtpcred, static_configs: [{{targets: ['{scraped}']}}]}}]\n",
            rules.display()
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("tsdb").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut server = Server(child.expect("prometheus: run tests/run"));
        let mut log = BufReader::new(server.0.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = log
                .next()
                .unwrap_or_else(|| panic!("it ended:\n{said}"))
                .unwrap();
            // The port that it got; one version says it in another way.
            let port = line.rsplit_once("127.0.0.1:").map(|(_, port)| port);
            let port = port.map(|port| port.trim_end_matches('"'));
            if let Some(port) = port.filter(|port| *port != "0" && line.contains("Listening on")) {
                break format!("127.0.0.1:{port}");
            }
            said += &(line + "\n");
        };
        // It must never wait for a reader of its log.
        std::thread::spawn(move || log.for_each(drop));
        Self {
            address,
            _server: server,
        }
    }

    fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(relay::PATIENCE)).unwrap();
        let request = format!("GET /api/v1/{path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").expect("an answer");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }

    /// The value of an expression; nothing before there is one.
    fn value(&self, expression: &str) -> Option<f64> {
        let mut encoded = String::new();
        for byte in expression.bytes() {
            write!(encoded, "%{byte:02x}").unwrap();
        }
        let found = self.get(&format!("query?query={encoded}"));
        found["data"]["result"][0]["value"][1]
            .as_str()?
            .parse()
            .ok()
    }

    fn becomes(&self, expression: &str, value: f64) {
        let mut last = None;
        wait_for(&format!("{expression} to be {value}"), || {
            let now = self.value(expression);
            if now != last {
                println!("{expression}: {now:?}");
                last = now;
            }
            (now == Some(value)).then_some(())
        });
    }
}

#[test]
#[ignore = "needs Prometheus: run tests/run"]
fn a_real_prometheus_stores_what_the_store_says() {
    let sandbox = Sandbox::new();
    import(&sandbox, USERS, PASSWORD);
    sandbox.noted(&["user", "set", "u4@example.com", "--expires-in", "13d"]);
    let (port, address) = bound("127.0.0.1:0");
    let [auth, policy] = [relay::auth_socket(&sandbox), relay::policy_socket(&sandbox)];
    let [auth, policy] = [auth.to_str().unwrap(), policy.to_str().unwrap()];
    let more = ["--auth", auth, "--policy", policy, "--metrics", &address];
    let relay = Relay::run(given(&sandbox, port, &more));
    let prometheus = Prometheus::start(sandbox.folder.path(), &address);

    let mut client = Client::auth(&sandbox);
    let mut id = 0;
    relay::all_sign_in(&mut client, USERS, PASSWORD, &mut id);
    for _ in 0..2 {
        id += 1;
        client.sign_in(id, "u0@example.com", "wrong-Otter-62", "192.0.2.1");
        assert!(client.line().unwrap().starts_with("FAIL\t"));
    }
    let mut policy = Client::policy(&sandbox);
    let mut instance = 0;
    for user in 0..USERS {
        let name = format!("u{user}@example.com");
        for _ in 0..=user {
            instance += 1;
            policy.send(message(instance, &name, &name).as_bytes());
            assert_eq!(policy.line().as_deref(), Some("action=DUNNO"));
            policy.line();
        }
    }

    prometheus.becomes(
        "smtpcred_sign_ins_total{result='accepted'}",
        f64::from(USERS),
    );
    prometheus.becomes("sum(smtpcred_messages_total)", 15.0);
    prometheus.becomes("smtpcred_sign_in_seconds_count", f64::from(USERS));
    let usage = wait_for("the usage to be written", || {
        let usage = sandbox.json(&["usage"]);
        let sent = |one: &Value| one["messages"].as_u64().unwrap();
        let all: u64 = usage.as_array().unwrap().iter().map(sent).sum();
        (all == 15).then_some(usage)
    });
    for one in usage.as_array().unwrap() {
        let expression = format!(
            "smtpcred_messages_total{{user='{}'}}",
            one["name"].as_str().unwrap()
        );
        prometheus.becomes(&expression, one["messages"].as_f64().unwrap());
    }
    let refused = wait_for("the refusals to be written", || {
        let failures = sandbox.json(&["audit", "failures"]);
        let count = failures[0]["count"].as_f64();
        count.filter(|count| *count >= 2.0)
    });
    prometheus.becomes("smtpcred_sign_ins_total{result='wrong-password'}", refused);
    prometheus.becomes("smtpcred_sign_ins_refused_last_day", refused);
    let run = sandbox.run(&["status", "--json"]);
    let status: Value = serde_json::from_str(&run.stdout).unwrap();
    for (expression, value) in [
        ("sum(smtpcred_users)", &status["users"]["total"]),
        (
            "smtpcred_users{status='active'}",
            &status["users"]["active"],
        ),
        ("smtpcred_domains", &status["domains"]),
        ("smtpcred_users_expiring", &status["counts"]["expiring"]),
        ("smtpcred_alerts_pending", &status["alerts"]["open"]),
    ] {
        prometheus.becomes(expression, value.as_f64().unwrap());
    }

    // Every rule that is shipped can be computed from what is there.
    wait_for("the rules", || {
        let found = prometheus.get("rules");
        let rules = found["data"]["groups"][0]["rules"].as_array()?;
        assert!(rules.len() > 10, "{rules:?}");
        rules
            .iter()
            .all(|rule| rule["health"] == "ok")
            .then_some(())
    });
    drop(relay);
    prometheus.becomes("up", 0.0);
}
