//! `smtpcred status --format openmetrics`

use std::path::Path;

use anyhow::Result;

use super::record::Serve;
use crate::app::metrics::store::{SentToday, StoreReport};
use crate::app::metrics::{self, Exposition, ExpositionForm};
use crate::cli::context::Context;
use crate::doctor::serve_sockets;
use crate::store::Access;

/// Prints what there is to know, also if that is only that the store cannot be read.
pub fn print(context: &mut Context, auth: Option<&Path>, policy: Option<&Path>) -> Result<()> {
    let mut metrics = Exposition::new(ExpositionForm::OpenMetrics);
    metrics::build(&mut metrics);
    let read = read(context);
    metrics::store_up(&mut metrics, read.is_ok());
    if let Ok((store, sent)) = &read {
        let serve = Serve::new(serve_sockets(auth, policy)).answers;
        if let Some(answers) = serve {
            let help = "Whether serve answers at its sockets on this machine.";
            metrics.gauge("smtpcred_serve_up", help).value(&[], answers);
        }
        store.write(&mut metrics);
        store.write_sessions(&mut metrics);
        let silent: &[_] = if serve == Some(false) {
            &["serve"]
        } else {
            &[]
        };
        store.write_attention(silent, &mut metrics);
        sent.write(&mut metrics);
    }
    context.out.text(&metrics.end())?;
    read.map(|_| ())
}

fn read(context: &mut Context) -> Result<(StoreReport, SentToday)> {
    let mut app = context.app(Access::Existing)?;
    Ok((app.metrics()?, app.sent_today()?))
}
