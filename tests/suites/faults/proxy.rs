//! A TCP proxy that fails on purpose: it reads one HTTP/1.1 message after the other, and drops, delays or cuts them.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

/// What happens to an answer, or in its place.
#[derive(Clone, Debug)]
pub enum Then {
    Reset,
    /// Half of the answer, and the connection is reset.
    ResetMidBody,
    /// Our side of the connection is closed (FIN) without an answer.
    HalfClose,
    /// Nothing, ever; the connection stays open.
    Silence,
    /// Headers and half of the body, then nothing.
    SilenceMidBody,
    /// Headers and half of the body, then a byte now and then.
    Drip,
    /// The server's answer, after this time.
    Late(Duration),
    /// The answer, a few bytes at a time.
    Slices,
    /// This answer instead of the server's.
    Say(String),
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Whether the request reaches the other side before.
    pub passes: bool,
    /// What comes back.
    pub then: Then,
    /// Only requests that hold these bytes meet it.
    pub holding: String,
    /// How often one and the same request meets it, sent again and again.
    pub each: u32,
    /// Only requests on a connection that lay idle meet it.
    pub idle: bool,
}

impl Fault {
    /// The request is lost on its way there, each time.
    #[must_use]
    pub fn before(then: Then) -> Self {
        Self { passes: false, then, holding: String::new(), each: u32::MAX, idle: false }
    }

    /// The request arrives and does its work, and the answer is lost, each time.
    #[must_use]
    pub fn after(then: Then) -> Self {
        Self { passes: true, ..Self::before(then) }
    }

    /// An answer in place of the true one.
    #[must_use]
    pub fn say(status: &str, body: &str) -> Self {
        let length = body.len();
        Self::before(Then::Say(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}")))
    }

    /// One and the same request meets it once.
    #[must_use]
    pub fn once(self) -> Self {
        Self { each: 1, ..self }
    }

    /// Only a request on a connection that lay idle meets it.
    #[must_use]
    pub fn on_idle(self) -> Self {
        Self { idle: true, ..self }
    }

    /// Only requests that hold these bytes meet it.
    #[must_use]
    pub fn of(self, holding: &str) -> Self {
        Self { holding: holding.to_owned(), ..self }
    }
}

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// What is known of each request; a repetition differs in headers alone, and they are left out.
    seen: HashMap<String, Seen>,
}

/// How often one and the same request came by.
#[derive(Clone, Copy, Default)]
struct Seen {
    sent: u32,
    met: u32,
}

/// A proxy in front of a server.
pub struct Proxy {
    /// Its address, as an origin.
    pub url: String,
    address: SocketAddr,
    upstream: SocketAddr,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
    open: Option<JoinHandle<()>>,
    /// Holds the port while nothing listens on it.
    closed: Option<TcpSocket>,
    /// Holds the port while nobody is let in, and the queue before it.
    full: Option<(TcpListener, Vec<TcpStream>)>,
}

impl Proxy {
    /// A way to the server at this origin on which nothing is wrong.
    pub async fn to(origin: &str) -> Self {
        let upstream = origin.trim_start_matches("http://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let url = format!("http://{address}");
        let (state, changed) = (Arc::default(), watch::Sender::new(()));
        let mut proxy = Self { url, address, upstream, state, changed, open: None, closed: None, full: None };
        proxy.listen(listener);
        proxy
    }

    fn listen(&mut self, listener: TcpListener) {
        let (state, changed, upstream) = (Arc::clone(&self.state), self.changed.clone(), self.upstream);
        self.open = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let way = Way { state: Arc::clone(&state), changed: changed.clone(), upstream };
                connections.spawn(way.converse(client));
                while connections.try_join_next().is_some() {}
            }
        }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// From now on requests meet this.
    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// From now on nothing is wrong.
    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// Refuses connections, and breaks those that there are.
    pub async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            drop(open.await);
        }
        // A port that is bound and not listened on answers RST, and nobody else gets it.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(self.address).expect("the port is free again");
        self.closed = Some(socket);
    }

    /// Lets connections hang: neither taken nor refused.
    pub async fn fill(&mut self) {
        self.close().await;
        let socket = self.closed.take().expect("a closed port");
        let (listener, mut queue) = (socket.listen(1).expect("a listener"), Vec::new());
        let queued = Duration::from_millis(200);
        while let Ok(Ok(stream)) = timeout(queued, TcpStream::connect(self.address)).await {
            queue.push(stream);
        }
        self.full = Some((listener, queue));
    }

    pub fn open(&mut self) {
        if let Some(socket) = self.closed.take() {
            self.listen(socket.listen(1_024).expect("a listener"));
        }
        if let Some((listener, _queue)) = self.full.take() {
            self.listen(listener);
        }
    }

    /// Waits until this holds of what came by.
    pub async fn until(&self, holds: impl Fn(&Self) -> bool) {
        self.changed.subscribe().wait_for(|()| holds(self)).await.expect("the proxy is there");
    }

    /// How often requests that hold this were sent.
    #[must_use]
    pub fn sent(&self, holding: &str) -> u32 {
        self.count(holding, |seen| seen.sent)
    }

    /// How often requests that hold this met a fault, the part of it that reaches the other side included.
    #[must_use]
    pub fn met(&self, holding: &str) -> u32 {
        self.count(holding, |seen| seen.met)
    }

    fn count(&self, holding: &str, of: impl Fn(&Seen) -> u32) -> u32 {
        self.state().seen.iter().filter(|(request, _)| request.contains(holding)).map(|(_, seen)| of(seen)).sum()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.abort();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection through the proxy.
struct Way {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
    upstream: SocketAddr,
}

impl Way {
    async fn converse(self, client: TcpStream) {
        // A connection that breaks, on either side, is this one's end and nobody's failure.
        drop(self.relay(client).await);
    }

    async fn relay(&self, mut client: TcpStream) -> io::Result<()> {
        let mut server = TcpStream::connect(self.upstream).await?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        for served in 0.. {
            let request = message(&mut client).await?;
            let Some(fault) = self.meets(&request, served > 0) else {
                let answer = pass(&request, &mut server).await?;
                client.write_all(&answer).await?;
                continue;
            };
            let answer = if fault.passes { pass(&request, &mut server).await? } else { Vec::new() };
            self.see(&request, |seen| seen.met += 1);
            let half = answer.len() - body_of(&answer).len() / 2;
            match fault.then {
                Then::Reset => return client.set_zero_linger(),
                Then::ResetMidBody => {
                    client.write_all(&answer[..half]).await?;
                    // What is sent and not yet read would be lost with a reset at once.
                    sleep(Duration::from_millis(20)).await;
                    return client.set_zero_linger();
                }
                Then::HalfClose => {
                    client.shutdown().await?;
                    message(&mut client).await?;
                }
                Then::Silence => std::future::pending().await,
                Then::SilenceMidBody => {
                    client.write_all(&answer[..half]).await?;
                    std::future::pending::<()>().await;
                }
                Then::Drip => {
                    client.write_all(&answer[..half]).await?;
                    for byte in answer[half..].chunks(1) {
                        sleep(Duration::from_millis(250)).await;
                        client.write_all(byte).await?;
                    }
                }
                Then::Late(time) => {
                    sleep(time).await;
                    client.write_all(&answer).await?;
                }
                Then::Slices => {
                    for slice in answer.chunks(7) {
                        client.write_all(slice).await?;
                        tokio::task::yield_now().await;
                    }
                }
                Then::Say(answer) => client.write_all(answer.as_bytes()).await?,
            }
        }
        Ok(())
    }

    /// The fault that this request meets now.
    fn meets(&self, request: &[u8], idle: bool) -> Option<Fault> {
        let sent = self.see(request, |seen| seen.sent += 1).sent;
        let text = String::from_utf8_lossy(request);
        let fault = lock(&self.state).fault.clone();
        fault.filter(|fault| sent <= fault.each && (idle || !fault.idle) && text.contains(&fault.holding))
    }

    /// Counts, and tells who waits for it.
    fn see(&self, request: &[u8], count: impl FnOnce(&mut Seen)) -> Seen {
        let head = request.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let text = [head, body_of(request)].map(String::from_utf8_lossy).concat();
        let mut state = lock(&self.state);
        let seen = state.seen.entry(text).or_default();
        count(seen);
        let seen = *seen;
        drop(state);
        self.changed.send_replace(());
        seen
    }
}

/// Sends the request to the server and reads its answer.
async fn pass(request: &[u8], server: &mut TcpStream) -> io::Result<Vec<u8>> {
    server.write_all(request).await?;
    message(server).await
}

/// What follows the headers.
fn body_of(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    end.map_or(&[], |end| &message[end + 4..])
}

/// The next message of a connection: headers, and as much body as they promise.
async fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        if stream.read_buf(&mut message).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The handshake of somebody who takes this for TLS.
        if message[0] == 0x16 {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await?;
            return Err(io::ErrorKind::InvalidData.into());
        }
        let Some(end) = message.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        if message.len() >= end + 4 + length.unwrap_or_default() {
            return Ok(message);
        }
    }
}
