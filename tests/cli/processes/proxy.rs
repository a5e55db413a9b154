//! A bad network on loopback: a TCP proxy that cuts, delays, throttles, corrupts, swallows, refuses.
//!
//! What happens to a connection depends on the seed and on which connection it is, and on nothing
//! else. Where the kernel splits the bytes and when they come is as it is with sockets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use syncline::entropy::Entropy;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

/// Bytes taken from a socket at once.
const CHUNK_BYTES: usize = 4096;

/// Where the client's HTTP request and the hub's answer lie.
const UPGRADE_BYTES: u64 = 200;

/// Where most frames of a short link lie.
const FRAMES_BYTES: u64 = 6_000;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From who dials to who listens.
    Up,
    /// From who listens to who dials.
    Down,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// It is reset as soon as it is made.
    Refuse,
    /// It is reset after so many bytes this way.
    Cut { way: Way, after: u64 },
    /// Each chunk comes later.
    Delay { each: Duration },
    /// It comes in small pieces, slowly.
    Throttle { piece: usize },
    /// Some bits of the byte at this place this way are flipped.
    Corrupt { way: Way, at: u64, mask: u8 },
    /// From this byte on nothing arrives this way, and nobody is told.
    Swallow { way: Way, after: u64 },
}

impl Fault {
    /// What a seed has in store for the connection of this number.
    pub(crate) fn of(seed: u64, number: u64) -> Self {
        let mut entropy = Entropy::from_number(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let way = [Way::Up, Way::Down][usize::from(entropy.below(2) == 0)];
        let place = match entropy.below(3) {
            0 => entropy.below(UPGRADE_BYTES),
            _ => UPGRADE_BYTES + entropy.below(FRAMES_BYTES),
        };
        let mask = 1_u8 << entropy.below(8);
        match entropy.below(12) {
            0 => Self::Refuse,
            1 | 2 => Self::Cut { way, after: place },
            3 => Self::Delay {
                each: Duration::from_millis(1 + entropy.below(20)),
            },
            4 => Self::Throttle {
                piece: 16 + usize::try_from(entropy.below(112)).unwrap_or_default(),
            },
            5 | 6 => Self::Corrupt {
                way,
                at: place,
                mask,
            },
            7 => Self::Swallow { way, after: place },
            _ => Self::None,
        }
    }

    /// A name to count by.
    const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refuse => "refuse",
            Self::Cut { .. } => "cut",
            Self::Delay { .. } => "delay",
            Self::Throttle { .. } => "throttle",
            Self::Corrupt { .. } => "corrupt",
            Self::Swallow { .. } => "swallow",
        }
    }
}

/// How connections that are made from now on get their faults.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    /// None have any.
    Calm,
    /// By a seed.
    Seeded(u64),
    /// The first has this one, the others none.
    First(Fault),
}

/// Connections so far, and faults that really happened, by name.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// A proxy in front of one address. It ends with all its connections when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    runtime: Option<Runtime>,
    network: Arc<Network>,
    url: String,
}

#[derive(Debug)]
struct Network {
    upstream: SocketAddr,
    state: Mutex<State>,
    /// Changes when all connections are to be cut.
    era: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    connections: u64,
    counts: Counts,
}

impl Proxy {
    /// A proxy in front of `upstream`, which need not listen yet.
    pub(crate) fn new(upstream: SocketAddr, plan: Plan) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let url = format!("ws://{}", listener.local_addr().expect("an address"));
        let state = State {
            plan,
            connections: 0,
            counts: Counts::new(),
        };
        let network = Arc::new(Network {
            upstream,
            state: Mutex::new(state),
            era: watch::Sender::new(0),
        });
        runtime.spawn(accept(Arc::clone(&network), listener));
        Self {
            runtime: Some(runtime),
            network,
            url,
        }
    }

    /// Where to dial.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Resets all connections; new ones, counted from zero, get their faults from `plan`.
    pub(crate) fn turn(&self, plan: Plan) {
        self.network.with(|it| {
            it.plan = plan;
            it.connections = 0;
        });
        self.network.era.send_modify(|it| *it += 1);
    }

    /// Resets all connections.
    pub(crate) fn cut(&self) {
        self.network.era.send_modify(|it| *it += 1);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.network.with(|it| it.counts.clone())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Network {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn next_fault(&self) -> Fault {
        self.with(|state| {
            let number = state.connections;
            state.connections += 1;
            match state.plan {
                Plan::Seeded(seed) => Fault::of(seed, number),
                Plan::First(fault) if number == 0 => fault,
                Plan::First(_) | Plan::Calm => Fault::None,
            }
        })
    }

    fn count(&self, fault: Fault) {
        self.with(|it| *it.counts.entry(fault.name()).or_default() += 1);
    }
}

async fn accept(network: Arc<Network>, listener: TcpListener) {
    // It ends with the runtime, or when the system has no more sockets, which a test would notice.
    while let Ok((client, _)) = listener.accept().await {
        let era = network.era.subscribe();
        let fault = network.next_fault();
        let carry = carry(Arc::clone(&network), client, fault, era);
        drop(tokio::runtime::Handle::current().spawn(carry));
    }
}

async fn carry(
    network: Arc<Network>,
    mut client: TcpStream,
    fault: Fault,
    mut era: watch::Receiver<u64>,
) {
    if matches!(fault, Fault::None | Fault::Refuse) {
        network.count(fault);
    }
    if fault == Fault::Refuse {
        drop(client.set_zero_linger());
        return;
    }
    // While nobody listens behind it, the proxy hangs up.
    let Ok(mut server) = TcpStream::connect(network.upstream).await else {
        return;
    };
    for it in [&client, &server] {
        drop(it.set_nodelay(true));
    }
    let cut = Notify::new();
    let is_reset = {
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.split(), server.split());
        let lane = |way| Lane {
            network: &network,
            fault,
            way,
            cut: &cut,
        };
        let both = async {
            let (up, down) = (lane(Way::Up), lane(Way::Down));
            tokio::join!(
                up.pump(&mut from_client, &mut to_server),
                down.pump(&mut from_server, &mut to_client)
            )
        };
        tokio::select! {
            _ = both => false,
            () = cut.notified() => true,
            _ = era.changed() => true,
        }
    };
    if is_reset {
        for it in [&client, &server] {
            drop(it.set_zero_linger());
        }
    }
}

/// One way of a connection.
struct Lane<'a> {
    network: &'a Network,
    fault: Fault,
    way: Way,
    cut: &'a Notify,
}

impl Lane<'_> {
    /// Carries bytes until their source ends, as the fault has it.
    async fn pump(&self, from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) {
        let size = if let Fault::Throttle { piece } = self.fault {
            piece
        } else {
            CHUNK_BYTES
        };
        let mut buffer = vec![0; size];
        let mut passed = 0_u64;
        loop {
            let read = from.read(&mut buffer).await.unwrap_or_default();
            if read == 0 {
                // The end of a swallowed direction is not told either.
                if !self.swallows(passed) {
                    drop(to.shutdown().await);
                }
                return;
            }
            let kept = self.harm(&mut buffer[..read], passed).await;
            if to.write_all(&buffer[..kept]).await.is_err() {
                self.cut.notify_one();
                return;
            }
            let before = passed;
            passed += u64::try_from(read).unwrap_or_default();
            if matches!(self.fault, Fault::Cut { way, after } if way == self.way && passed > after)
            {
                self.network.count(self.fault);
                self.cut.notify_one();
                return;
            }
            let is_slow = matches!(self.fault, Fault::Delay { .. } | Fault::Throttle { .. });
            let begins = is_slow && before == 0;
            if begins || (!self.swallows(before) && self.swallows(passed)) {
                self.network.count(self.fault);
            }
        }
    }

    fn swallows(&self, passed: u64) -> bool {
        matches!(self.fault, Fault::Swallow { way, after } if way == self.way && passed > after)
    }

    /// Does to a chunk what is to be done to it; how many of its bytes go on.
    async fn harm(&self, chunk: &mut [u8], passed: u64) -> usize {
        let all = chunk.len();
        let within = |at: u64| usize::try_from(at.saturating_sub(passed)).unwrap_or(usize::MAX);
        match self.fault {
            Fault::Delay { each } => sleep(each).await,
            Fault::Throttle { .. } => sleep(Duration::from_millis(1)).await,
            Fault::Corrupt { way, at, mask } if way == self.way && at >= passed => {
                if let Some(byte) = chunk.get_mut(within(at)) {
                    *byte ^= mask;
                    self.network.count(self.fault);
                }
            }
            Fault::Cut { way, after } | Fault::Swallow { way, after } if way == self.way => {
                return all.min(within(after));
            }
            Fault::None
            | Fault::Refuse
            | Fault::Corrupt { .. }
            | Fault::Cut { .. }
            | Fault::Swallow { .. } => {}
        }
        all
    }
}
