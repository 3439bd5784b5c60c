//! Findings that could not be written to the store before the program ended: the next one
//! writes them.

use std::io;
use std::net::IpAddr;

use super::format::{CarryOverReader, CarryOverWriter, damaged};
use crate::app::relay::pending_writes::{RefusedAddress, SeenNetwork, SeenPassword};
use crate::app::relay::{PendingWrites, Release};
use crate::model::name::Username;
use crate::model::network::Network;
use crate::model::password::PasswordId;
use crate::model::refused_sign_ins::RefusedSignIns;
use crate::model::stranger::WrittenName;
use crate::model::time::Time;
use crate::model::usage_window::Count;
use crate::model::user::SentMail;
use crate::store::{DailyUsage, NetworkUse};

/// What one finding takes at most, in bytes, apart from new recipients.
const LARGEST: usize = 1024;

pub fn write(unwritten: &PendingWrites, to: &mut CarryOverWriter<'_>) -> io::Result<()> {
    for (username, seen) in &unwritten.seen {
        for password in seen {
            if !more(to, 1 + password.networks.len())? {
                break;
            }
            to.text(username.as_str())?;
            to.text(password.id.as_str())?;
            to.i64(password.at.epoch())?;
            write_address(to, password.address)?;
            to.u64(password.networks.len() as u64)?;
            for network in &password.networks {
                write_network(to, network)?;
            }
        }
    }
    to.u8(0)?;
    for (username, passwords) in &unwritten.sent_with {
        for (password_id, sent) in passwords {
            if !more(to, 1)? {
                break;
            }
            to.text(username.as_str())?;
            to.text(password_id.as_str())?;
            to.i64(sent.last_at.map_or(0, Time::epoch))?;
            to.u64(sent.messages)?;
            to.u64(sent.recipients)?;
        }
    }
    to.u8(0)?;
    for ((username, day), sent) in &unwritten.sent {
        if !more(to, 1)? {
            break;
        }
        to.text(username.as_str())?;
        to.i64(*day)?;
        write_count(to, sent.amount)?;
        to.u64(sent.bytes)?;
        to.u32(sent.refusals)?;
    }
    to.u8(0)?;
    for ((username, at), amount) in &unwritten.uncounted {
        if !more(to, 1)? {
            break;
        }
        to.text(username.as_str())?;
        to.i64(at.epoch())?;
        write_count(to, *amount)?;
    }
    to.u8(0)?;
    for ((username, digest), at) in &unwritten.recipients {
        if !more(to, 1)? {
            break;
        }
        to.text(username.as_str())?;
        to.u128(*digest)?;
        to.i64(at.epoch())?;
    }
    to.u8(0)?;
    for release in &unwritten.releases {
        if !more(to, 1 + release.new_recipients.len())? {
            break;
        }
        to.text(release.username.as_str())?;
        write_count(to, release.left)?;
        write_count(to, release.held)?;
        to.i64(release.at.epoch())?;
        to.u64(release.new_recipients.len() as u64)?;
        for digest in &release.new_recipients {
            to.u128(*digest)?;
        }
    }
    to.u8(0)?;
    for refused in unwritten.refused.values() {
        if !more(to, 1)? {
            break;
        }
        to.text(refused.username.as_str())?;
        to.text(&refused.address)?;
        to.text(refused.reason.name())?;
        to.i64(refused.first_at.epoch())?;
        to.i64(refused.last_at.epoch())?;
        to.i64(refused.count)?;
    }
    to.u8(0)?;
    for ((username, _), refused) in &unwritten.refused_addresses {
        if !more(to, 1)? {
            break;
        }
        to.text(username.as_str())?;
        write_address(to, refused.address)?;
        to.i64(refused.first_at.epoch())?;
        to.i64(refused.last_at.epoch())?;
        to.i64(refused.count)?;
    }
    to.u8(0)
}

/// Announces another finding, if there is room for it.
fn more(to: &mut CarryOverWriter<'_>, parts: usize) -> io::Result<bool> {
    let has_room = to.has_room(parts, LARGEST);
    if has_room {
        to.u8(1)?;
    }
    Ok(has_room)
}

pub fn read(from: &mut CarryOverReader<'_>) -> io::Result<PendingWrites> {
    let mut unwritten = PendingWrites::default();
    while follows(from)? {
        let username = username(from)?;
        let id = PasswordId::stored(from.text()?);
        let at = Time::from_epoch(from.i64()?);
        let address = read_address(from)?;
        let networks = 0..from.u64()?;
        let networks = networks.map(|_| read_network(from));
        let networks = networks.collect::<io::Result<_>>()?;
        unwritten
            .seen
            .entry(username)
            .or_default()
            .push(SeenPassword {
                id,
                at,
                address,
                networks,
            });
    }
    while follows(from)? {
        let username = username(from)?;
        let password_id = PasswordId::stored(from.text()?);
        let sent = SentMail {
            last_at: Some(Time::from_epoch(from.i64()?)),
            messages: from.u64()?,
            recipients: from.u64()?,
        };
        unwritten.sent_with(&username, &password_id, &sent);
    }
    while follows(from)? {
        let key = (username(from)?, from.i64()?);
        let amount = read_count(from)?;
        let (bytes, refusals) = (from.u64()?, from.u32()?);
        let sent = DailyUsage {
            amount,
            bytes,
            refusals,
        };
        unwritten.sent.insert(key, sent);
    }
    while follows(from)? {
        let key = (username(from)?, Time::from_epoch(from.i64()?));
        unwritten.uncounted.insert(key, read_count(from)?);
    }
    while follows(from)? {
        let key = (username(from)?, from.u128()?);
        let at = Time::from_epoch(from.i64()?);
        unwritten.recipients.insert(key, at);
    }
    while follows(from)? {
        let username = username(from)?;
        let (left, held) = (read_count(from)?, read_count(from)?);
        let at = Time::from_epoch(from.i64()?);
        let recipients = 0..from.u64()?;
        let new_recipients = recipients.map(|_| from.u128()).collect::<io::Result<_>>()?;
        unwritten.releases.push(Release {
            username,
            left,
            held,
            new_recipients,
            at,
        });
    }
    while follows(from)? {
        let refused = RefusedSignIns {
            username: WrittenName::stored(from.text()?),
            address: from.text()?,
            reason: from.text()?.parse().map_err(|_| bad())?,
            first_at: Time::from_epoch(from.i64()?),
            last_at: Time::from_epoch(from.i64()?),
            count: from.i64()?,
        };
        let key = (
            refused.username.clone(),
            refused.address.clone(),
            refused.reason,
        );
        unwritten.refused.insert(key, refused);
    }
    while follows(from)? {
        let username = username(from)?;
        let address = read_address(from)?;
        let refused = RefusedAddress {
            address,
            first_at: Time::from_epoch(from.i64()?),
            last_at: Time::from_epoch(from.i64()?),
            count: from.i64()?,
            // The alert is the same but for what to do next.
            has_networks: false,
        };
        let key = (username, address.map(Network::group));
        unwritten.refused_addresses.insert(key, refused);
    }
    Ok(unwritten)
}

fn follows(from: &mut CarryOverReader<'_>) -> io::Result<bool> {
    Ok(from.u8()? != 0)
}

fn username(from: &mut CarryOverReader<'_>) -> io::Result<Username> {
    from.text()?.parse().map_err(|_| bad())
}

fn write_address(to: &mut CarryOverWriter<'_>, address: Option<IpAddr>) -> io::Result<()> {
    to.text(&address.map(|it| it.to_string()).unwrap_or_default())
}

fn read_address(from: &mut CarryOverReader<'_>) -> io::Result<Option<IpAddr>> {
    match from.text()?.as_str() {
        "" => Ok(None),
        address => address.parse().map(Some).map_err(|_| bad()),
    }
}

fn write_network(to: &mut CarryOverWriter<'_>, network: &SeenNetwork) -> io::Result<()> {
    let used = &network.used;
    write_address(to, Some(used.address))?;
    to.i64(used.first_at.epoch())?;
    to.i64(used.last_at.epoch())?;
    to.i64(used.sign_ins)?;
    to.u8(network.learn.into())?;
    to.u8(network.tell.into())
}

fn read_network(from: &mut CarryOverReader<'_>) -> io::Result<SeenNetwork> {
    let address = read_address(from)?.ok_or_else(bad)?;
    Ok(SeenNetwork {
        used: NetworkUse {
            network: Network::group(address),
            address,
            first_at: Time::from_epoch(from.i64()?),
            last_at: Time::from_epoch(from.i64()?),
            sign_ins: from.i64()?,
        },
        learn: from.u8()? != 0,
        tell: from.u8()? != 0,
    })
}

fn write_count(to: &mut CarryOverWriter<'_>, count: Count) -> io::Result<()> {
    to.u32(count.messages)?;
    to.u32(count.recipients)?;
    to.u32(count.new_recipients)
}

fn read_count(from: &mut CarryOverReader<'_>) -> io::Result<Count> {
    Ok(Count {
        messages: from.u32()?,
        recipients: from.u32()?,
        new_recipients: from.u32()?,
    })
}

fn bad() -> io::Error {
    damaged("a finding is not valid")
}
