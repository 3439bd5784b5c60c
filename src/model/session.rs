//! Open sessions, and which of them an admin ends.

use std::net::IpAddr;

use super::name::{DomainName, Username};
use super::network::Network;
use super::password::PasswordId;
use super::time::Time;

/// A connection of an application to the mail server, since its sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSession {
    /// The user that signed in.
    pub username: Username,
    /// The password that it signed in with.
    pub password_id: PasswordId,
    /// The application's address; `None` if the mail server did not pass it on.
    pub address: Option<IpAddr>,
    /// When it signed in.
    pub since: Time,
    /// When it last asked for something that the mail server asks us about.
    pub last: Time,
    /// How many messages it has sent.
    pub messages: u32,
    /// How many recipients they had.
    pub recipients: u32,
}

/// The open sessions of a relay, as it tells them.
#[derive(Clone, Debug)]
pub struct SessionReport {
    /// The name of the relay, which no one else has.
    pub relay: String,
    /// Its machine.
    pub host: String,
    /// The newest request for it.
    pub request: i64,
    /// The sessions.
    pub sessions: Vec<OpenSession>,
}

/// Which relay has told its sessions, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReporter {
    /// Its machine, for people.
    pub host: String,
    /// The newest request that it answered.
    pub request: i64,
    /// When.
    pub at: Time,
}

/// Which sessions an admin ends: those that match every given field. Those that begin later
/// are not meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionEnd {
    /// Of users of this domain.
    pub domain: Option<DomainName>,
    /// Of this user.
    pub username: Option<Username>,
    /// Signed in with this password.
    pub password_id: Option<PasswordId>,
    /// From this network.
    pub network: Option<Network>,
}

impl SessionEnd {
    /// Returns whether it means a session. `names` are its user's: the one that it signed in
    /// with and the one of today.
    pub fn means(
        &self,
        names: [&Username; 2],
        password_id: &PasswordId,
        address: Option<IpAddr>,
    ) -> bool {
        let domain = self.domain.as_ref();
        let network = self.network.as_ref();
        domain.is_none_or(|domain| names.iter().any(|name| name.domain() == *domain))
            && self
                .username
                .as_ref()
                .is_none_or(|one| names.contains(&one))
            && self.password_id.as_ref().is_none_or(|id| id == password_id)
            && network.is_none_or(|network| address.is_some_and(|one| network.contains(one)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_means_what_matches_in_everything() {
        let name = |name: &str| name.parse::<Username>().unwrap();
        let (old, new) = (name("shop@old.example"), name("shop@example.com"));
        let id = PasswordId::stored("AAAAAAAA".into());
        let here = "::ffff:192.0.2.7".parse().ok();
        let means = |end: &SessionEnd, address| end.means([&old, &new], &id, address);
        let all = SessionEnd {
            domain: "example.com".parse().ok(),
            username: Some(new.clone()),
            password_id: Some(id.clone()),
            network: "192.0.2.0/24".parse().ok(),
        };
        assert!(means(&all, here));
        assert!(means(&SessionEnd::default(), None));
        assert!(!means(&all, None), "not known to be from there");
        assert!(!means(&all, "192.0.3.7".parse().ok()));
        let others = [
            SessionEnd {
                domain: "example.org".parse().ok(),
                ..all.clone()
            },
            SessionEnd {
                username: Some(name("web@example.com")),
                ..all.clone()
            },
            SessionEnd {
                password_id: Some(PasswordId::stored("BBBBBBBB".into())),
                ..all.clone()
            },
        ];
        for other in &others {
            assert!(!means(other, here), "{other:?}");
        }
        let by_old_name = SessionEnd {
            username: Some(old.clone()),
            ..SessionEnd::default()
        };
        assert!(means(&by_old_name, here));
    }
}
