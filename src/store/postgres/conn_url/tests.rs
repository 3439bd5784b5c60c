use super::*;

fn read(url: &str, variables: &[(&str, &str)]) -> Result<ConnUrl> {
    let env = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    ConnUrl::read(url, &env)
}

fn modes(url: &str, variables: &[(&str, &str)]) -> Vec<TlsMode> {
    let url = read(url, variables).unwrap();
    url.servers.iter().map(|server| server.mode).collect()
}

#[test]
fn a_server_on_the_network_is_verified_unless_told_otherwise() {
    let far = "postgres://u@db.example.com/x";
    assert_eq!(modes(far, &[]), [TlsMode::VerifyFull]);
    assert_eq!(modes(far, &[("PGSSLMODE", "require")]), [TlsMode::Require]);
    let roots = [("PGSSLMODE", "require"), ("PGSSLROOTCERT", "/ca.pem")];
    assert_eq!(modes(far, &roots), [TlsMode::VerifyCa]);
    let mixed = "postgres://u@localhost,db,%2Frun%2Fpg/x";
    let expected = [TlsMode::Prefer, TlsMode::VerifyFull, TlsMode::Disable];
    assert_eq!(modes(mixed, &[]), expected);
    let none = modes(
        "postgres://u@db/x?sslmode=disable",
        &[("PGSSLMODE", "require")],
    );
    assert_eq!(none, [TlsMode::Disable]);
}

#[test]
fn the_environment_fills_in_what_the_url_omits() {
    let variables = [
        ("PGHOST", "one,two"),
        ("PGPORT", "1,2"),
        ("PGUSER", "ana"),
        ("PGDATABASE", "mail"),
        ("PGPASSWORD", "secret"),
    ];
    let url = read("postgres://", &variables).unwrap();
    let [one, two] = &url.servers[..] else {
        panic!("two servers");
    };
    assert_eq!(one.config.get_hosts(), [Host::Tcp("one".into())]);
    assert_eq!(two.config.get_ports(), [2]);
    assert_eq!(two.config.get_user(), Some("ana"));
    assert_eq!(two.config.get_dbname(), Some("mail"));
    assert_eq!(one.config.get_password(), Some(&b"secret"[..]));
    let said = read("postgres://bob@three:3/other", &variables).unwrap();
    assert_eq!(said.servers[0].config.get_user(), Some("bob"));
    assert_eq!(said.servers[0].config.get_ports(), [3]);
}

/// Services and variables are shared with psql.
#[test]
fn ports_are_read_as_libpq_reads_them() {
    for port in ["7", "07", "+7", " 7 "] {
        let url = read("postgres://u@a/x", &[("PGPORT", port)]).unwrap();
        assert_eq!(url.servers[0].config.get_ports(), [7], "{port:?}");
    }
    let of_two = read("postgres://u@a,b/x", &[("PGPORT", ",7")]).unwrap();
    assert_eq!(of_two.servers[0].config.get_ports(), [5432]);
    for port in ["0", "-7", "65536", "7x", "1 2"] {
        assert!(read("postgres://u@a/x", &[("PGPORT", port)]).is_err());
        let url = format!("postgres:///x?host=a&port={}", port.replace(' ', "%20"));
        assert!(read(&url, &[]).is_err(), "{url}");
    }
    for url in ["postgres://u@a:07/x", "postgres:///x?host=a&port=%2B7"] {
        assert_eq!(read(url, &[]).unwrap().servers[0].config.get_ports(), [7]);
    }
}

#[test]
fn p1_a_password_goes_to_who_is_known() {
    let methods = |url: &str, variables: &[(&str, &str)]| {
        read(url, variables).unwrap().servers[0].methods.clone()
    };
    for url in [
        "postgres://u@localhost/x",
        "postgres://u@127.0.0.1/x",
        "postgres://u@db/x?sslmode=require",
        "postgres://u@db/x?sslmode=disable",
        // In /tmp, any user can create one.
        "postgres://u@%2Ftmp/x",
    ] {
        assert_eq!(methods(url, &[]), AuthMethods::unverified(), "{url}");
    }
    assert_eq!(methods("postgres://u@db/x", &[]), AuthMethods::all());
    let password = AuthMethods::named("password").unwrap();
    let asked = [("PGREQUIREAUTH", "password")];
    assert_eq!(methods("postgres://u@localhost/x", &asked), password);
    let asked = "postgres://u@localhost/x?require_auth=password";
    assert_eq!(methods(asked, &[]), password);
}

#[test]
fn contradictory_settings_are_refused() {
    for url in [
        "postgres://u@a/x?sslmode=allow",
        "postgres://u@a/x?sslmode=require&sslrootcert=system",
        "postgres://u@a/x?nonsense=1",
        "postgres://u@a/x?target_session_attrs=read-only",
        "postgres://u@a/x?target_session_attrs=prefer-standby",
        "postgres://u@a/x?sslcrl=/crl.pem",
        "postgres://u@a/x?ssl_min_protocol_version=TLSv1.3",
        "postgres://u@a:0x/x",
        "postgres://u@a,b,c/x?hostaddr=127.0.0.1,127.0.0.2",
        "postgres://u@a/x?sslrootcert=%ff",
        "postgres://u@a/x?require_auth=anything",
    ] {
        assert!(read(url, &[]).is_err(), "{url}");
    }
    assert!(read("postgres://u@a", &[("PGPORT", "many")]).is_err());
    for (variable, value) in [
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGREQUIREPEER", "postgres"),
        ("PGSSLCRL", "/crl.pem"),
        ("PGGSSENCMODE", "require"),
        ("PGCONNECT_TIMEOUT", "soon"),
        ("PGSERVICE", "none"),
    ] {
        let refused = read(
            "postgres://u@a",
            &[(variable, value), ("PGSYSCONFDIR", "/none")],
        );
        assert!(refused.is_err(), "{variable}");
    }
    assert!(read("postgres://u@[::1]:7", &[("PGPORT", "many")]).is_ok());
}

#[test]
fn parameters_without_effect_here_are_accepted_as_in_libpq() {
    for parameter in [
        "target_session_attrs=any",
        "target_session_attrs=read-write",
        "target_session_attrs=primary",
        "client_encoding=LATIN1",
        "fallback_application_name=x",
        "gssencmode=prefer",
        "krbsrvname=x",
        "sslcompression=0",
        "sslsni=1",
        "ssl_min_protocol_version=TLSv1.2",
        "keepalives_count=2",
        "load_balance_hosts=random",
    ] {
        let url = format!("postgres://u@a/x?{parameter}");
        assert!(read(&url, &[]).is_ok(), "{parameter}");
    }
    let standby = [("PGTARGETSESSIONATTRS", "standby")];
    assert!(read("postgres://u@a?target_session_attrs=primary", &standby).is_ok());
}

/// The order of libpq: the URL, then the service, then the environment.
#[test]
fn a_service_fills_in_what_the_url_omits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("services");
    let text = "[mail]\nhost=db,other\nport=7,8\nuser=ana\ndbname=post\npassword=secret\n\
                sslmode=require\napplication_name=a&b\nconnect_timeout=3\n\
                [bad]\nnonsense=1\n[standby]\ntarget_session_attrs=standby\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let by_variable = [
        ("PGSERVICEFILE", file),
        ("PGSERVICE", "mail"),
        ("PGUSER", "bob"),
        ("PGHOST", "nowhere"),
        ("PGSSLMODE", "disable"),
    ];
    let by_url = [("PGSERVICEFILE", file), ("PGSERVICE", "none")];
    for (url, variables) in [
        ("postgres://", &by_variable[..]),
        ("postgres://?service=mail", &by_url),
    ] {
        let url = read(url, variables).unwrap();
        let [db, other] = &url.servers[..] else {
            panic!("two servers");
        };
        assert_eq!(db.config.get_hosts(), [Host::Tcp("db".into())]);
        assert_eq!(other.config.get_ports(), [8]);
        assert_eq!(db.mode, TlsMode::Require);
        assert_eq!(db.config.get_user(), Some("ana"));
        assert_eq!(db.config.get_dbname(), Some("post"));
        assert_eq!(db.config.get_password(), Some(&b"secret"[..]));
        assert_eq!(db.config.get_application_name(), Some("a&b"));
        assert_eq!(
            db.config.get_connect_timeout(),
            Some(&Duration::from_secs(3))
        );
    }
    let url = read("postgres://bob@one:9/x?sslmode=disable", &by_variable).unwrap();
    let [one] = &url.servers[..] else {
        panic!("one server");
    };
    assert_eq!(one.config.get_hosts(), [Host::Tcp("one".into())]);
    assert_eq!(one.config.get_ports(), [9]);
    assert_eq!(one.config.get_user(), Some("bob"));
    assert_eq!(one.config.get_dbname(), Some("x"));
    assert_eq!(one.mode, TlsMode::Disable);
    for service in ["bad", "standby", "none"] {
        let url = format!("postgres://?service={service}");
        assert!(read(&url, &by_url).is_err(), "{service}");
    }
}
