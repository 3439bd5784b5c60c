//! Old names of users that were renamed.

use super::name::Username;
use super::time::Time;

/// An earlier name of a user. It is known as long as no other user gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldName {
    /// The earlier name.
    pub old_name: Username,
    /// The name of its user now.
    pub username: Username,
    /// When the user was renamed.
    pub renamed_at: Time,
    /// When the old name stops working; `None` if it was stopped.
    pub until: Option<Time>,
}

impl OldName {
    /// Returns whether the user can sign in with it.
    pub fn works(&self, now: Time) -> bool {
        self.until.is_some_and(|at| now < at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_name_stops_at_the_second_it_was_given() {
        let old = |until: Option<i64>| OldName {
            old_name: "old@example.com".parse().unwrap(),
            username: "new@example.com".parse().unwrap(),
            renamed_at: Time::from_epoch(1),
            until: until.map(Time::from_epoch),
        };
        let now = Time::from_epoch(20);
        assert!(old(Some(21)).works(now));
        assert!(!old(Some(20)).works(now) && !old(None).works(now));
    }
}
