//! Lists of tags such as `v=DMARC1; p=none`, which DKIM, DMARC, MTA-STS and
//! TLS-RPT write their records in (RFC 6376 §3.2).

/// Returns names and values in their order. The error names a part that is not a tag.
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

/// Returns the value of a tag; `None` if it is missing.
pub fn value<'a>(tags: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    tags.iter()
        .find(|(other, _)| *other == name)
        .map(|(_, value)| *value)
}

/// Returns whether a record begins with this version.
pub fn has_version(text: &str, version: &str) -> bool {
    let first = text.split(';').next().unwrap_or_default();
    first
        .split_once('=')
        .is_some_and(|(name, value)| name.trim() == "v" && value.trim() == version)
}

/// Returns what is wrong with a DMARC record (RFC 7489 §6.3); `None` if nothing.
pub fn dmarc_fault(text: &str) -> Option<String> {
    const POLICIES: &[&str] = &["none", "quarantine", "reject"];
    const ALIGNMENT: &[&str] = &["r", "s"];
    let tags = match tags(text) {
        Ok(tags) => tags,
        Err(fault) => return Some(fault),
    };
    let is_known =
        |value: &str, known: &[&str]| known.iter().any(|k| k.eq_ignore_ascii_case(value));
    let one_of = |name: &str, known: &[&str]| {
        let value = value(&tags, name)?;
        let fault = || format!("{name}={value} is not one of {}", known.join(", "));
        (!is_known(value, known)).then(fault)
    };
    let all_of = |name: &str, known: &[&str]| {
        let list = value(&tags, name)?;
        let good = list.split(':').all(|value| is_known(value.trim(), known));
        (!good).then(|| {
            format!(
                "{name}={list} is not a list of {}, separated by colons",
                known.join(", ")
            )
        })
    };
    // RFC 7489 §6.4 allows leading zeros, but no sign.
    let number_up_to = |name: &str, digits: usize, most: u32| {
        let text = value(&tags, name)?;
        let good = text.len() <= digits
            && text.bytes().all(|b| b.is_ascii_digit())
            && text.parse::<u32>().is_ok_and(|n| n <= most);
        (!good).then(|| format!("{name}={text} is not a number up to {most}"))
    };
    if value(&tags, "p").is_none() {
        return Some("it has no p=, the policy".into());
    }
    one_of("p", POLICIES)
        .or_else(|| one_of("sp", POLICIES))
        // RFC 9091 §3.1 and its successors.
        .or_else(|| one_of("np", POLICIES))
        .or_else(|| one_of("psd", &["y", "n", "u"]))
        .or_else(|| one_of("t", &["y", "n"]))
        .or_else(|| one_of("adkim", ALIGNMENT))
        .or_else(|| one_of("aspf", ALIGNMENT))
        .or_else(|| all_of("fo", &["0", "1", "d", "s"]))
        .or_else(|| all_of("rf", &["afrf"]))
        .or_else(|| number_up_to("pct", 3, 100))
        .or_else(|| number_up_to("ri", 10, u32::MAX))
        // Any URI may stand there (RFC 7489 §6.2); receivers know the first.
        .or_else(|| reports_fault(&tags, "rua", &["mailto:", "https:", "http:"]))
        .or_else(|| reports_fault(&tags, "ruf", &["mailto:", "https:", "http:"]))
}

/// Returns what is wrong with an MTA-STS record (RFC 8461 §3.1); `None` if
/// nothing.
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

/// Returns what is wrong with a TLS-RPT record (RFC 8460 §3); `None` if nothing.
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

/// RFC 7489 §6.2: how large a report may be.
fn is_size(text: &str) -> bool {
    let digits = text
        .strip_suffix(['k', 'm', 'g', 't', 'K', 'M', 'G', 'T'])
        .unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn reports_fault(tags: &[(&str, &str)], name: &str, schemes: &[&str]) -> Option<String> {
    let list = value(tags, name)?;
    for uri in list.split(',').map(str::trim) {
        let (uri, size) = uri
            .split_once('!')
            .map_or((uri, None), |(uri, size)| (uri, Some(size)));
        if let Some(size) = size.filter(|size| !is_size(size)) {
            return Some(format!(
                "{name}={uri}!{size}: a size, such as 10m, must follow the !"
            ));
        }
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
            "v=DMARC1; p=none; np=reject; psd=u; t=y; pct=005; ri=86400; rf=afrf; fo=1:d:s",
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
            "v=DMARC1; p=none; pct=+5",
            "v=DMARC1; p=none; pct=-5",
            "v=DMARC1; p=none; pct=0005",
            "v=DMARC1; p=none; pct=5%",
            "v=DMARC1; p=none; pct=",
            "v=DMARC1; p=none; np=bogus",
            "v=DMARC1; p=none; psd=maybe",
            "v=DMARC1; p=none; t=1",
            "v=DMARC1; p=none; fo=2",
            "v=DMARC1; p=none; fo=",
            "v=DMARC1; p=none; rf=bogus",
            "v=DMARC1; p=none; ri=+3600",
            "v=DMARC1; p=none; ri=daily",
            "v=DMARC1; p=none; ri=4294967296",
            "v=DMARC1; p=none; rua=mailto:a@b.example!10x",
            "v=DMARC1; p=none; rua=mailto:a@b.example!+10m",
            "v=DMARC1; p=none; rua=mailto:a@b.example!",
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
