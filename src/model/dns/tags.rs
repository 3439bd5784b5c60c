//! Lists of tags such as `v=DMARC1; p=none`, which DKIM, DMARC, MTA-STS and
//! TLS-RPT write their records in (RFC 6376 §3.2).

/// In order, or the part that is none.
pub fn tags(text: &str) -> Result<Vec<(&str, &str)>, String> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            return Err(format!("'{part}' is not name=value"));
        };
        let name = name.trim();
        if found.iter().any(|(other, _)| *other == name) {
            return Err(format!("{name}= is there twice"));
        }
        found.push((name, value.trim()));
    }
    Ok(found)
}

pub fn value<'a>(tags: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    tags.iter()
        .find(|(other, _)| *other == name)
        .map(|(_, value)| *value)
}

/// Whether a record is meant to be of this version, however it goes on.
pub fn has_version(text: &str, version: &str) -> bool {
    let first = text.split(';').next().unwrap_or_default();
    first
        .split_once('=')
        .is_some_and(|(name, value)| name.trim() == "v" && value.trim() == version)
}

/// What is wrong with a DMARC record (RFC 7489 §6.3), if anything.
pub fn dmarc_fault(text: &str) -> Option<String> {
    let tags = match tags(text) {
        Ok(tags) => tags,
        Err(fault) => return Some(fault),
    };
    let policies = ["none", "quarantine", "reject"];
    let one_of = |name: &str, known: &[&str]| {
        let value = value(&tags, name)?;
        let good = known.iter().any(|k| k.eq_ignore_ascii_case(value));
        (!good).then(|| format!("{name}={value} is none of {}", known.join(", ")))
    };
    if value(&tags, "p").is_none() {
        return Some("it has no p=, the policy".into());
    }
    one_of("p", &policies)
        .or_else(|| one_of("sp", &policies))
        .or_else(|| one_of("adkim", &["r", "s"]))
        .or_else(|| one_of("aspf", &["r", "s"]))
        .or_else(|| {
            let percent = value(&tags, "pct")?;
            let good = percent.parse::<u8>().is_ok_and(|n| n <= 100);
            (!good).then(|| format!("pct={percent} is not a number up to 100"))
        })
        // Any URI may stand there (RFC 7489 §6.2); receivers know the first.
        .or_else(|| reports_fault(&tags, "rua", &["mailto:", "https:", "http:"]))
        .or_else(|| reports_fault(&tags, "ruf", &["mailto:", "https:", "http:"]))
}

/// Of an MTA-STS record (RFC 8461 §3.1).
pub fn mta_sts_fault(text: &str) -> Option<String> {
    let tags = match tags(text) {
        Ok(tags) => tags,
        Err(fault) => return Some(fault),
    };
    let Some(id) = value(&tags, "id") else {
        return Some("it has no id=".into());
    };
    let good = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    (!good).then(|| format!("id={id} is not 1 to 32 letters and digits"))
}

/// Of a TLS-RPT record (RFC 8460 §3).
pub fn tls_rpt_fault(text: &str) -> Option<String> {
    let tags = match tags(text) {
        Ok(tags) => tags,
        Err(fault) => return Some(fault),
    };
    if value(&tags, "rua").is_none() {
        return Some("it has no rua=, where reports go".into());
    }
    reports_fault(&tags, "rua", &["mailto:", "https:"])
}

fn reports_fault(tags: &[(&str, &str)], name: &str, schemes: &[&str]) -> Option<String> {
    let list = value(tags, name)?;
    for uri in list.split(',').map(str::trim) {
        let rest = schemes.iter().find_map(|scheme| {
            let start = uri.get(..scheme.len())?;
            start
                .eq_ignore_ascii_case(scheme)
                .then(|| &uri[scheme.len()..])
        });
        let good = rest.is_some_and(|rest| {
            let is_address = rest
                .split_once('@')
                .is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'));
            rest.starts_with("//") || is_address
        });
        if !good {
            let example = schemes.join(" or ");
            return Some(format!(
                "{name}={uri} does not begin with {example} and name a place"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let good = tags(" v=DMARC1 ;p = none;; ").unwrap();
        assert_eq!(good, [("v", "DMARC1"), ("p", "none")]);
        assert!(tags("v=DMARC1 p").is_ok());
        assert!(tags("v=DMARC1; p").is_err());
        assert!(tags("a=1; a=2").is_err());
        assert!(has_version("v = DMARC1 ; p=none", "DMARC1"));
        assert!(!has_version("v=spf1 -all", "DMARC1"));
        assert!(!has_version("v=DMARC10", "DMARC1"));
    }

    #[test]
    fn dmarc() {
        for good in [
            "v=DMARC1; p=none",
            "v=DMARC1; p=Reject; sp=none; adkim=s; aspf=r; pct=100; fo=1",
            "v=DMARC1;p=quarantine;rua=mailto:a@b.example,mailto:c@d.example!10m",
            "v=DMARC1; p=none; rua=https://b.example/reports",
        ] {
            assert_eq!(dmarc_fault(good), None, "{good}");
        }
        for bad in [
            "v=DMARC1",
            "v=DMARC1; p=",
            "v=DMARC1; p=maybe",
            "v=DMARC1; p=none; sp=no",
            "v=DMARC1; p=none; pct=101",
            "v=DMARC1; p=none; rua=postmaster@b.example",
            "v=DMARC1; p=none; rua=mailto:",
            "v=DMARC1; p=none; rua=",
            "v=DMARC1; p=none p=none; p=reject",
        ] {
            assert!(dmarc_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn mta_sts_and_tls_rpt() {
        assert_eq!(mta_sts_fault("v=STSv1; id=20261121T000000;"), None);
        for bad in ["v=STSv1", "v=STSv1; id=", "v=STSv1; id=2026-11-21"] {
            assert!(mta_sts_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(tls_rpt_fault("v=TLSRPTv1; rua=mailto:tls@b.example"), None);
        assert_eq!(tls_rpt_fault("v=TLSRPTv1; rua=https://b.example/tls"), None);
        for bad in ["v=TLSRPTv1", "v=TLSRPTv1; rua=ftp://b.example"] {
            assert!(tls_rpt_fault(bad).is_some(), "{bad}");
        }
    }
}
