//! Sockets that systemd opened for this process: `LISTEN_FDS` of them from number 3, if `LISTEN_PID` is ours.
use std::io;
use std::net::TcpListener;

use listenfd::ListenFd;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ActivationError {
    #[error("no socket activation file descriptors found")]
    None,
    #[error("a socket that systemd passed cannot be used")]
    Unusable(#[source] io::Error),
}

/// All of them. It takes the variables away for whoever might be started by us, so it must be called before there are
/// threads, and once.
pub(crate) fn take_listeners() -> Result<Vec<TcpListener>, ActivationError> {
    // Without a process's number the crate takes them for ours, and so could everybody who inherits the variables.
    let for_us = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let mut passed = ListenFd::from_env();
    if !for_us || passed.len() == 0 {
        return Err(ActivationError::None);
    }
    (0..passed.len())
        .filter_map(|index| passed.take_tcp_listener(index).transpose())
        .collect::<Result<_, _>>()
        .map_err(ActivationError::Unusable)
}
