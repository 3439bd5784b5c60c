//! `domain check` names what is wrong, and nothing else, with a name server of
//! our own.

use crate::support::zones::{RSA_512, RSA_1024, RSA_2048, check, of, serve, sound_but, store};

/// Those of the file, each from its `==` to the next.
fn cases() -> Vec<(Vec<&'static str>, String)> {
    let (start, end) = RSA_2048.split_at(200);
    let mut cases: Vec<(Vec<&str>, String)> = Vec::new();
    for line in include_str!("broken.txt").lines() {
        if let Some(head) = line.strip_prefix("== ") {
            let parts = head.split("==").map(str::trim);
            let parts = parts.flat_map(|part| match part.split_once(' ') {
                Some((check, state)) if head.starts_with(part) => vec![check, state],
                _ => vec![part],
            });
            cases.push((parts.collect(), String::new()));
        } else if !line.starts_with('#') {
            let records = &mut cases.last_mut().expect("a head").1;
            records.push_str(
                &line
                    .replace("RSA2048A", start)
                    .replace("RSA2048B", end)
                    .replace("RSA1024", RSA_1024)
                    .replace("RSA512", RSA_512),
            );
            records.push('\n');
        }
    }
    cases
}

#[test]
#[ignore = "needs nsd: run tests/run"]
fn one_thing_broken_is_one_thing_named() {
    let cases = cases();
    assert!(cases.len() > 50, "the cases were not found");
    let zones: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(i, (head, records))| (format!("c{i}.example"), sound_but(head[0], records)))
        .collect();
    let nsd = serve(&zones);
    let sandbox = store();
    for (i, (head, records)) in cases.iter().enumerate() {
        let &[what, state, says, wanted] = &head[..] else {
            panic!("{head:?}");
        };
        let domain = format!("c{i}.example");
        sandbox.noted(&["domain", "add", &domain]);
        let (code, findings) = check(&sandbox, &nsd, &domain, &["--selector", "s1"]);
        let context = format!("{head:?}\n{records}{findings:#?}");
        for finding in &findings {
            assert!(
                finding["check"] == what || finding["state"] == "ok",
                "{context}"
            );
        }
        let found = of(&findings, what);
        assert_eq!(found["state"], state, "{context}");
        let said = format!("{} {}", found["found"], found["hint"]);
        assert!(said.contains(says), "{context}");
        match found["wanted"].as_str() {
            Some(record) => assert!(!wanted.is_empty() && record.contains(wanted), "{context}"),
            None => assert_eq!(wanted, "", "{context}"),
        }
        let expected = match state {
            "missing" | "wrong" => 7,
            "unknown" => 75,
            _ => 0,
        };
        assert_eq!(code, expected, "{context}");
    }
}
