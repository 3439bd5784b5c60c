//! Sockets whose files were removed, for example by a cleaner of old files. Mail servers
//! can no longer connect, and serve would not notice.

use std::path::PathBuf;

use super::socket_files::file_id;
use super::socket_spec::SocketSpec;
use super::sockets::{Listener, Socket, bound_to};

impl Listener {
    /// If its file is gone: the path, and how to bind it again if serve bound it.
    pub fn removed(&self) -> Option<(PathBuf, Option<SocketSpec>)> {
        let path = self.named_path()?;
        let is_gone = match self.file {
            Some(file) => file_id(&path) != Some(file),
            // Removed before this program restarted, or in a folder that we cannot see.
            None => self.path.is_some() && file_id(&path).is_none(),
        };
        is_gone.then(|| (path, self.spec.clone()))
    }

    pub(super) fn named_path(&self) -> Option<PathBuf> {
        let bound = || match &self.socket {
            Socket::Unix(socket) => bound_to(socket),
            Socket::Tcp(_) => None,
        };
        self.path.clone().or_else(bound)
    }
}
