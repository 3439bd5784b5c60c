//! What `setup postfix` says from the first look to the last undo, to the letter:
//! `tests/golden/setup/postfix.txt`, in the form of the other transcripts.

use std::fs;
use std::path::Path;

use regex::Regex;

use crate::setup::in_room;

/// With two lines at the end that are the same in each version of Postfix.
const CASE: &str = r#"
before() {
    sed -i '/^#/d' /etc/postfix/master.cf
    service 'last unix - n n - - pipe' '  flags=R user=nobody argv=/bin/true'
}
running() {
    for words in --dry-run --yes --yes '--undo --dry-run' '--undo --yes' '--undo --yes'; do
        echo "\$ smtpcred setup postfix $words"
        # shellcheck disable=SC2086 # words
        smtpcred setup postfix $words < /dev/null > /root/out 2> /root/err
        code=$?
        cat /root/out
        sed 's/^/! /' /root/err
        [ $code = 0 ] || echo "? $code"
    done > "$cases/transcript"
}
"#;

#[test]
#[ignore = "needs root, Postfix and namespaces: run tests/run"]
fn a_whole_setup_says_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("case.sh"), CASE).unwrap();
    // Nothing is left to do for the room itself.
    fs::write(folder.path().join("case.args"), "--undo").unwrap();
    let said = in_room(folder.path());
    assert!(said[0].starts_with("case 0 yes|"), "{said:?}");
    let fresh = fs::read_to_string(folder.path().join("transcript")).unwrap();
    let line = Regex::new("@@ line [0-9]+ @@").unwrap();
    let fresh = line.replace_all(&fresh, "@@ line N @@");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/setup/postfix.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &*fresh).unwrap();
        return;
    }
    let kept = fs::read_to_string(&path).unwrap();
    let all = |text: &str| {
        text.lines()
            .map(str::to_owned)
            .chain(["(end)".to_owned()])
            .collect::<Vec<_>>()
    };
    for (number, (was, is)) in (1..).zip(all(&kept).iter().zip(&all(&fresh))) {
        assert_eq!(was, is, "{}:{number} differs:\n{fresh}", path.display());
    }
}
