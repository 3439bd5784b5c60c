//! What setup makes of the units that it finds.

use super::*;

fn place() -> SocketPlace {
    SocketPlace {
        folder: Path::new(QUEUE).join("smtpcred"),
        user: "postfix".into(),
        group: "postfix".into(),
    }
}

/// A machine with systemd and a serve that answers, with both sockets like this.
fn answering(enabled: bool, active: bool) -> Machine {
    let unit = |name| UnitState {
        name,
        installed: true,
        enabled,
        active,
    };
    Machine {
        systemd: true,
        user: true,
        store_folder: true,
        socket_folder: true,
        units: SOCKETS.map(unit).into(),
        service_store: None,
        store: format!("{STORE_FOLDER}/smtpcred.db"),
        program: "/usr/bin/smtpcred".into(),
        sockets: [SocketUse::Ours, SocketUse::Ours],
        drop_ins: [None, None],
    }
}

#[test]
fn sockets_that_run_but_are_not_enabled_are_enabled() {
    let plan = answering(false, true).plan(&place()).unwrap();
    let before = SOCKETS.map(|name| UnitBefore {
        name: name.into(),
        enabled: false,
        active: true,
    });
    assert_eq!(plan.enable, before);
}

#[test]
fn units_that_work_and_a_serve_that_runs_without_them_are_left_alone() {
    for (enabled, active) in [(true, true), (true, false), (false, false)] {
        let plan = answering(enabled, active).plan(&place()).unwrap();
        assert_eq!(plan.enable, []);
    }
}
