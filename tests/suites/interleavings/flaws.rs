//! What a server may do wrong, on purpose.

/// A flaw of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A refresh reads the session and then writes it.
    TornRefresh,
    /// The replay of a login does not look at the session, but takes it to be as the login meant to leave it.
    BlindReplay,
    /// Whoever asks is told when a session was refreshed last, to the second.
    ExactTimes,
}
