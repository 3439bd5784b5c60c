//! Decides what follows from an event of a run, once it was recorded.

use std::sync::mpsc::SyncSender;

use super::record::Recorded;
use super::report::RotationOutcome;
use super::workers::WorkerEvent;
use super::{Delivery, DeliveryResult};
use crate::model::name::Username;

/// What follows from an event.
pub(super) enum NextStep {
    Show(Username, String),
    /// Tells a worker whether it may hand the password over.
    Answer(SyncSender<bool>, bool),
    Deliver(Box<Delivery>),
    /// The user is left as it was.
    Skip,
    End(Username, RotationOutcome),
}

/// Decides what follows from an event once it was recorded.
pub(super) fn next_step(event: WorkerEvent, recorded: Recorded) -> NextStep {
    let (username, outcome) = match (event, recorded) {
        (WorkerEvent::Output(username, line), _) => return NextStep::Show(username, line),
        (WorkerEvent::HandingOver { answer, .. }, recorded) => {
            return NextStep::Answer(answer, recorded == Recorded::Yes);
        }
        (_, Recorded::Stopped)
        | (WorkerEvent::DeliveryEnded(_, _, DeliveryResult::NotStarted), Recorded::Yes) => {
            return NextStep::Skip;
        }
        (WorkerEvent::NotGenerated(username, error), _) => {
            (username, RotationOutcome::Failed(error.to_string()))
        }
        (WorkerEvent::Generated(made), Recorded::Yes) => {
            return NextStep::Deliver(Box::new(made.delivery));
        }
        (
            WorkerEvent::Generated(made),
            Recorded::Refused(reason) | Recorded::StoreFailed(reason),
        ) => {
            let username = made.delivery.credential.username.clone();
            (username, RotationOutcome::Failed(reason))
        }
        (WorkerEvent::DeliveryEnded(username, password_id, DeliveryResult::Delivered), Recorded::Yes) => {
            let resumed = false;
            (username, RotationOutcome::Rotated { password_id, resumed })
        }
        (
            WorkerEvent::DeliveryEnded(username, _, DeliveryResult::NotDelivered(reason)),
            Recorded::Yes,
        )
        // The user was reset meanwhile: neither password of this rotation is live.
        | (WorkerEvent::DeliveryEnded(username, ..), Recorded::Refused(reason)) => {
            (username, RotationOutcome::Failed(reason))
        }
        (
            WorkerEvent::DeliveryEnded(username, _, DeliveryResult::Unknown(reason)),
            Recorded::Yes,
        )
        | (WorkerEvent::DeliveryEnded(username, ..), Recorded::StoreFailed(reason)) => {
            (username, RotationOutcome::unfinished(reason))
        }
    };
    NextStep::End(username, outcome)
}

#[cfg(test)]
mod tests {
    use super::super::record::RESET;
    use super::*;
    use crate::model::password::PasswordId;
    use crate::model::time::Time;

    fn ended(result: DeliveryResult, recorded: Recorded) -> String {
        let password_id = PasswordId::stored("2345abcd".into());
        let username = "shop@example.com".parse().unwrap();
        match next_step(
            WorkerEvent::DeliveryEnded(username, password_id, result),
            recorded,
        ) {
            NextStep::End(_, RotationOutcome::Rotated { .. }) => "rotated".into(),
            NextStep::End(_, RotationOutcome::Failed(reason)) => format!("failed: {reason}"),
            NextStep::End(_, RotationOutcome::Unfinished { reason, .. }) => {
                format!("unfinished: {reason}")
            }
            NextStep::Skip => "skipped".into(),
            _ => "other".into(),
        }
    }

    #[test]
    fn p6_a_delivery_that_may_have_arrived_is_unfinished() {
        let failed = || Recorded::StoreFailed("full".into());
        let refused = || Recorded::Refused("reset".into());
        let not = || DeliveryResult::NotDelivered("no".into());
        let unknown = || DeliveryResult::Unknown("who knows".into());
        for (result, recorded, expected) in [
            (DeliveryResult::Delivered, Recorded::Yes, "rotated"),
            (not(), Recorded::Yes, "failed: no"),
            (unknown(), Recorded::Yes, "unfinished: who knows"),
            (DeliveryResult::NotStarted, Recorded::Yes, "skipped"),
            // Not recorded: the next run has to find out.
            (DeliveryResult::Delivered, failed(), "unfinished: full"),
            (not(), failed(), "unfinished: full"),
            (unknown(), failed(), "unfinished: full"),
            (DeliveryResult::Delivered, refused(), "failed: reset"),
        ] {
            assert_eq!(ended(result, recorded), expected);
        }
    }

    #[test]
    fn p6_a_password_is_handed_over_only_once_that_is_recorded() {
        for (recorded, may) in [
            (Recorded::Yes, true),
            (Recorded::Refused(RESET.into()), false),
            (Recorded::StoreFailed("full".into()), false),
        ] {
            let (answer, _answered) = std::sync::mpsc::sync_channel(1);
            let event = WorkerEvent::HandingOver {
                username: "shop@example.com".parse().unwrap(),
                password_id: PasswordId::stored("2345abcd".into()),
                settles_at: Time::from_epoch(0),
                answer,
            };
            let step = next_step(event, recorded);
            assert!(matches!(step, NextStep::Answer(_, answered) if answered == may));
        }
    }
}
