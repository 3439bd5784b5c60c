//! Hashes of other systems: read, verified, refused beyond the caps.

use smtpcred::model::hash::{Given, Hash, Hasher, given};

/// Of `pass wörd`, made by `doveadm pw` 2.3.19.
const DOVEADM: [&str; 19] = [
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$RE/lijvL9Q1uAUuWWQkbow$VRANjaeyWt/DeWXrr8QsjnQKiZb3Q7dGYzPWDRE/z+0",
    "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$jI/W3UeiTjajxJanJQMGzQ$D3Sx9g37oNdt7mfbsADujEALE9anOfSYGRpaL1dehFA",
    "{BLF-CRYPT}$2y$05$YMH3GG2IGLQYaTMuPwYjHuk1Z4kMxRtL98vbSplPaw4QkKLOaak7S",
    "{SHA512-CRYPT}$6$WUrwOch1M8hCo3Mf$MmImM9toKwnr6cpgsRNnS9z1Eygg6H2wbLMSZvs43ptXFRXukA/HCxscU.YVqYbFpDT7.vkPPd3GAL8GEHhWs.",
    "{SHA256-CRYPT}$5$jylf7KuYwZivtHuZ$5t8lX3OrigY5i4QnEaaTDPW/7Wsx0HGA5V0aSePP4F5",
    "{MD5-CRYPT}$1$.XAhfIqs$DmnMaTBtLQXiVPloctnxg/",
    "{MD5}$1$.XAhfIqs$DmnMaTBtLQXiVPloctnxg/",
    "{SSHA}072n9Up0EXwoHELnkByGvltdBTUVtDtz",
    "{SSHA256}qYudlwGqOpbg2EZDXLVATBQIMCLkYaMLNjTPdWoJKHyPDq/C",
    "{SSHA512}IPbLuaOrS0nAZizPVYFQHhuDNT/OH2ofo1BRCDq2FCos6/F4PI6aiZGH7YyqZTJr+tOFqCZISkg1kt8b1uRqJxs3PoU=",
    "{SHA}B/PcQHeAKywePq/ztWiCWf9lImE=",
    "{SHA256}OiJnkCVYiolCxym6OY5vSw4KcK5/4byVl4xwY92nKW4=",
    "{SHA512}zNC2/6f2hn0TF9T9rZD547wrjHSb4QzAd6Ka2pPoW8SpdvPx3wCEucqGdC89XUEQapM6HFqXiGHAibw6tmkzKg==",
    "{SMD5}tMVmw/JDemPKZj+hy4jwcxlATF0=",
    "{LDAP-MD5}UE0pZHdw/EbgVLgQ1HJWVw==",
    "{PLAIN-MD5}504d29647770fc46e054b810d4725657",
    "{PBKDF2}$1$aucG1MYXTSxwtrRG$5000$89d2d3458081f579f3e03cab88b1f9cbcf67fe5d",
    "{SHA256.HEX}3a22679025588a8942c729ba398e6f4b0e0a70ae7fe1bc95978c7063dda7296e",
    "{CRYPT}$2y$05$HKj6FYm5yHZTXM.Vzz2CPu8rAVNZamrT6QFHem7UIP99FJHht.Tnm",
];
const SCRAM: [&str; 2] = [
    "{SCRAM-SHA-1}4096,KnheADGr2YrTUPWgJdqphw==,gNRAyG1zAcjkY+6VvbRMvEVPTfM=,1A5WHPa20U1zD7aduS5VBWcOLyE=",
    "{SCRAM-SHA-256}4096,zjg2eRsbwbqnkumUgVm3EQ==,fdEjbjVDky6XiwDB6q7bDJobTyPFMp0s28IGGIffiGQ=,D9VEW0Z7X0KjpZtrHoSxzOFGiVqt+BrEYgZuRLQxst4=",
];

fn hash(text: &str) -> Hash {
    match given(text) {
        Ok(Given::Hash(hash)) => hash,
        Ok(Given::Plain(_)) => panic!("plain: {text}"),
        Err(reason) => panic!("{text}: {reason}"),
    }
}

fn verifies(text: &str, password: &str) -> bool {
    let hash = hash(text);
    // As it comes back from the store.
    let stored = Hash::stored(hash.as_str()).unwrap_or_else(|| panic!("stored: {text}"));
    assert_eq!(given(stored.as_str()).ok().map(|_| ()), Some(()), "{text}");
    Hasher::default()
        .verify(password.as_bytes(), &stored)
        .unwrap()
}

#[test]
fn every_scheme_of_doveadm_that_is_a_hash() {
    for text in DOVEADM.into_iter().chain(SCRAM) {
        assert!(verifies(text, "pass wörd"), "{text}");
        assert!(!verifies(text, "pass word"), "{text}");
        assert!(!verifies(text, ""), "{text}");
        let nul = hash(text);
        assert!(
            !Hasher::default()
                .verify("pass wörd\0x".as_bytes(), &nul)
                .unwrap(),
            "{text}"
        );
    }
}

#[test]
fn what_others_make() {
    for (password, text) in [
        // As passlib writes them, computed by Python's hashlib.
        (
            "password",
            "$pbkdf2-sha256$6400$yMnKy8zNzs/Q0dLT1NXW1w$Nw7XqvlAiZbkX2GVKBOSFni7G5HuDXN/v9lKT6NlrIE",
        ),
        (
            "password",
            "$pbkdf2-sha512$6400$yMnKy8zNzs/Q0dLT1NXW1w$l62e80nKbYa4znobOWMRRKaZtimhuNr2CxjZxmWp7GRQbSjXYY0fDZprjxckIG656912ccS4zU5h23pq4GRKrg",
        ),
        (
            "password",
            "$pbkdf2$6400$yMnKy8zNzs/Q0dLT1NXW1w$rSrbrux3z5RWTFQyyzbMMLzRj8s",
        ),
        (
            "password",
            "$scrypt$ln=14,r=8,p=1$yMnKy8zNzs/Q0dLT1NXW1w$K3j/3I3Z1EGqYjwB+8WyPa5PXmaqlTTqY5JWVxPI3xw",
        ),
        // crypt(3) of Debian 12.
        (
            "password",
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$tnSYvahCwPBHKZUspmcxMfb0.WiB9W.zEaKlOBL35rC",
        ),
        (
            "password",
            "$y$j75$LdJMENpBABJJ3hIHjB1Bi.$AwSWBvo9otG8BLH4EfD1adasacj5dqew9dxGW5j5f24",
        ),
        (
            "password",
            "$7$CU..../....saltsaltsalt$vrTxXHfHumvNNxSQpVt.nlsYJ.EdIr.pJH..KQIj.M7",
        ),
        (
            "password",
            "$6$rounds=20000$saltsalt$6ACFjOJ7MunLlq58EbWlKh9cSFdGRbzHnYALmnqHc4GJEYz.CfwtPKHKJ5nsWADki727PWqKvsjX8obAcrBZc.",
        ),
        (
            "password",
            "$5$rounds=1000$saltsalt$azOwbpkvuuBKkE82dQPwTsQE8JyT9Fflpr9aKid3aT9",
        ),
        (
            "password",
            "$2b$05$abcdefghijklmnopqrstuuWG29KuyeAicPCJODk1zjyGvyQUU2awu",
        ),
        (
            "password",
            "$2a$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm",
        ),
        // The same by htpasswd and openssl passwd.
        ("password", "$apr1$saltsalt$yAAkm4libquA.ZWLHbSBq/"),
        ("password", "$1$saltsalt$qjXMvbEw8oaL.CzflDtaK/"),
        (
            "old pass 1",
            "$2y$05$gZu/LuqpcqVm5/2Ef.EBt.tKs/RkBqSKTQhQgp9X43dkRU5eT84DS",
        ),
        ("old pass 1", "{SHA}uPjnudZV1YuWMljayKV2ogT8KFs="),
        (
            "old pass 1",
            "$5$X9Lzo7fhzE2YTpi4$9FrRG0MlXJLSCTjNdlOuJ8elOKUCB7q2qdy4mSm6nr5",
        ),
        ("old pass 1", "$apr1$voWX.KgK$NELTDufxRA0ZqbjlrfNGC1"),
        // `doveadm pw` writes such.
        (
            "pass",
            "{SHA512-CRYPT.B64}JDYkeFNLR1Q2UE1MV3JKUFEuUSR2alR0SUhKTlkzNHN6S1U3Y1FMR1J4RS9GaFM0NS5QMlNXUmVkbDh2ZnJjVUJqTUsxTm0uNXNINnFUU3RVU3Nxdm14WHJ0YVhQZjBvbGl0TEdRMnR6MA==",
        ),
        (
            "pass",
            "{CRYPT.B64}JDJ5JDA1JFI1L0RaNk9SYXVGY3I2RE12ODl2M09jQ3JSWVJBMmxxSW9xSVEzTnVVcmZ1Wkw1YzJ4Yy9P",
        ),
        (
            "pass",
            "{BLF-CRYPT.HEX}24327924303524513335555170454568676f686e765a3668677a39332e5a4d33665256644648654c4d6d6f666e306149356a4d6b51616276725a4153",
        ),
        (
            "pass",
            "{SSHA512.HEX}81fbdcc27a774c551206b195180b9785a1789c5a03ae4e69c75b968720e60427f274f3603ed7d33e0d5d856acd1ff256d4ef47b7f32c062d65d82aaaeefed3e274ded22c",
        ),
        (
            "pass",
            "{PBKDF2.B64}JDEkdUtHcWJhZTBZODBubVJYbCQ1MDAwJGFhNzRiZWVjOTUxMDEyODI1NDRmZjg0NGU2YjU4MDRhYzYwZDRlMDA=",
        ),
    ] {
        assert!(verifies(text, password), "{text}");
        assert!(!verifies(text, "Password"), "{text}");
    }
}

#[test]
fn every_salt_that_crypt_allows() {
    for text in [
        // By openssl passwd and crypt(3).
        "$6$a+b_c=,-~@#%&;!$VdeBozDpkdOVK9GOVYJzEmHZ4V.B0gDo2ZSODA2EJI0pu2eW2ciYO3/WO.yefzUFTAIR0y9FGHZwSqLTCeYDV1",
        "$6$rounds=1000$a+b_c=,-~@#%&$mGnU2.q5B78SCgAWNnainMQHxQCAWxwJ3sh6R/P/E6BjvXeI/m4aEGcygNPdL4dguGn8v6PXJby.Zp7n3EYM51",
        "$6$$bLTg4cpho8PIUrjfsE7qlU08Qx2UEfw..xOc6I1wpGVtyVYToGrr7BzRdAAnEr5lYFr1Z9WcCf1xNZ1HG9qFW1",
        "$5$a+b_c=,-$.3kUJbfbSIdy3N3rtDWhefE1ySKuu14OMcTENtXDsgC",
        "$1$a+b_c=,-$QU5AyXqrCsy1oSWobgwHh0",
        "$apr1$a+b_c=$HQOmHQab93oUKiZhLCM.P/",
        // As PostfixAdmin's sha512.b64 writes it.
        "{SHA512-CRYPT.B64}JDYkYStiL2MrZCtlL2YrZytoLyRkVFVDbmZMUFJ3cFdBTUpxMVdqSUcya2p1WDlTSkZNejlMcldlQUJPNG95WWF0UUw2dlh5UTRvaldlTE1oTi9GZk95bEZIdUZmVWVoTms4M0MvNXdqMA==",
    ] {
        assert!(verifies(text, "password"), "{text}");
        assert!(!verifies(text, "Password"), "{text}");
    }
}

/// `slappasswd`, passlib's LDAP hashes and Courier's authlib.
#[test]
fn what_ldap_has() {
    for text in [
        "{PBKDF2}1000$yMnKy8zNzs/Q0dLT1NXW1w$jt1bUB5f/w1Ew49pVFJS92RwXLk",
        "{PBKDF2-SHA1}1000$yMnKy8zNzs/Q0dLT1NXW1w$jt1bUB5f/w1Ew49pVFJS92RwXLk",
        "{PBKDF2-SHA512}1000$yMnKy8zNzs/Q0dLT1NXW1w$UkL7yF45njZHR.946h9zdHzMyadsFkMiucYagP/Me6lcWuMQAtOxXiPzoA1BSk6d4qsvImA3F.mpcbcPkO0VEQ",
        "{PBKDF2-SHA256}10000$KNHEVN1o4aNNLfVC85KwIg$/8Y37sLei05e5gou0Pf5x2IDTEpjcbttc/N8fg6WQN0",
        "{ARGON2}$argon2i$v=19$m=32768,t=4,p=1$51dz/ZO10IY006+kJocirg$zOkqG/OpFY/zF9TH6k+XuU3Or/aWrINg4iY7mIsaj/c",
        "{ARGON2}$argon2id$v=19$m=65536,t=3,p=1$lbhb3ijhoqvHUo7XWEGzKQ$2IKr5008T+1xG7E4q5ObNXJVf2sqro1GW91z0Dnm8/I",
        "{MD5}kAFQmDzST7DWlj99KOF/cg==",
        "{md5}900150983cd24fb0d6963f7d28e17f72",
        "{MD5.HEX}900150983cd24fb0d6963f7d28e17f72",
        "{md5raw}900150983cd24fb0d6963f7d28e17f72",
    ] {
        assert!(verifies(text, "abc"), "{text}");
        assert!(!verifies(text, "abd"), "{text}");
    }
}

#[test]
fn plain_is_told_apart() {
    for text in [
        "{PLAIN}pass",
        "{clear}pass",
        "{CLEARTEXT}pass",
        "{PLAIN.B64}cGFzcw==",
        "{plain.hex}70617373",
    ] {
        assert!(matches!(given(text), Ok(Given::Plain(p)) if p.as_str() == "pass"));
    }
}

#[test]
fn absurd_parameters_are_refused_and_not_computed() {
    let tag = "A".repeat(43);
    let begun = std::time::Instant::now();
    for bad in [
        "$2y$31$YMH3GG2IGLQYaTMuPwYjHuk1Z4kMxRtL98vbSplPaw4QkKLOaak7S",
        "$2y$16$YMH3GG2IGLQYaTMuPwYjHuk1Z4kMxRtL98vbSplPaw4QkKLOaak7S",
        "$2y$03$YMH3GG2IGLQYaTMuPwYjHuk1Z4kMxRtL98vbSplPaw4QkKLOaak7S",
        "$2y$99$YMH3GG2IGLQYaTMuPwYjHuk1Z4kMxRtL98vbSplPaw4QkKLOaak7S",
        &format!("$5$rounds=999999999$salt${tag}"),
        &format!("$5$rounds=99999999999999999999$salt${tag}"),
        &format!("$5$rounds=-1$salt${tag}"),
        &format!("$5$rounds=10$salt${tag}"),
        &format!("$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHRzb21lc2FsdA${tag}"),
        &format!("$argon2id$v=19$m=65536,t=4294967295,p=1$c29tZXNhbHRzb21lc2FsdA${tag}"),
        "$argon2id$v=19$m=65536,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAA",
        &format!("$scrypt$ln=40,r=8,p=1$c2FsdA${tag}"),
        &format!("$scrypt$ln=255,r=8,p=1$c2FsdA${tag}"),
        &format!("$scrypt$ln=10,r=4294967295,p=4294967295$c2FsdA${tag}"),
        &format!("$scrypt$ln=0,r=8,p=1$c2FsdA${tag}"),
        &format!("$scrypt$ln=16,r=0,p=0$c2FsdA${tag}"),
        &format!("$7$zzzzzzzzzzzsalt${tag}"),
        &format!("$y$jzT$c2FsdA${tag}"),
        &format!("$y$jjz.$c2FsdA${tag}"),
        &format!("$y$j9Tzzzzzz$c2FsdA${tag}"),
        &format!("$y$zzzzzzzzz$c2FsdA${tag}"),
        "$pbkdf2-sha256$4294967295$c2FsdA$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M",
        "$pbkdf2-sha256$0$c2FsdA$Y11AchqV4b0sUisdZd0Xr97KWoymNE0LNNrnEgY4H9M",
        "$pbkdf2-sha256$1000$c2FsdA$",
        "{PBKDF2}$1$salt$5000$zz",
        "{PBKDF2}$1$two\nlines$5000$89d2d3458081f579f3e03cab88b1f9cbcf67fe5d",
        &format!("$5$a:b${tag}"),
        &format!("$5$a b${tag}"),
        &format!("$5$seventeenletters1${tag}"),
        "{SCRAM-SHA-256}4294967295,c2FsdA==,c2FsdA==,c2FsdA==",
        "{SSHA}B/PcQHeAKywePq/ztWiCWf9lImE=",
        "{SHA}072n9Up0EXwoHELnkByGvltdBTUVtDtz",
        "{SHA}",
        "{DES-CRYPT}vcgEpyC0Yjktc",
        "{CRAM-MD5}a440c5490c41d8a04bba7ea96980743be2b7e0a950ed6fd02a67556bf5842fdc",
        "KduVNGHCHVo8o",
        "",
        "{",
        "{}",
        "{PLAIN",
        "{NOSUCH}x",
        "{SHA256.rot13}x",
        "{MD5}900150983cd24fb0d6963f7d28e17f7",
        "{md5raw}xyz",
        "{ARGON2}$6$salt$x",
        "{PBKDF2-SHA256}10000",
        "{PBKDF2}9999999999$c2FsdHNhbHQ$Y11AchqV4b0sUisdZd0Xr97KWoy",
        "$6$",
        "$6$$",
        "$1$",
        "$y$",
        "$$$$$",
        &"$6$".repeat(100_000),
    ] {
        assert!(given(bad).is_err(), "{}", &bad[..bad.len().min(80)]);
        assert!(Hash::stored(bad).is_none());
    }
    assert!(begun.elapsed().as_secs() < 5);
}

#[test]
fn a_damaged_hash_is_never_more_than_refused() {
    let mut hasher = Hasher::default();
    for text in DOVEADM.into_iter().skip(2).chain(SCRAM) {
        for at in 0..text.len() {
            for byte in [b'$', b'0', 0, b'z'] {
                let mut bytes = text.as_bytes().to_vec();
                bytes[at] = byte;
                let damaged = String::from_utf8_lossy(&bytes).into_owned();
                // A cost that is within the caps is not what is looked for here.
                if damaged.contains("$5$") || at % 7 != 0 || damaged.contains("$2y$") {
                    let _ = given(&damaged);
                } else if let Ok(Given::Hash(hash)) = given(&damaged) {
                    hasher.verify(b"another", &hash).unwrap();
                }
            }
        }
    }
}
