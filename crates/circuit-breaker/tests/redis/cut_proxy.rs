//! A proxy in front of a server, which does to connections what networks do.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What becomes of what is written, in connections that are there and in new ones.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Flow {
    Pass,
    /// Nothing arrives on either side, and nobody is told.
    Hole,
    /// Requests arrive only with the next [`Proxy::release`], also those of clients that have gone.
    Late,
    /// Requests arrive and are worked on; with the first answer the connection breaks.
    LoseAnswers,
    /// Answers take so long.
    Slow(Duration),
    /// Every request is answered with this, and does not arrive.
    Say(&'static [u8]),
    /// Connections are closed as soon as they are made.
    Refuse,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Close,
    Reset,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    flow: watch::Sender<Flow>,
    released: watch::Sender<()>,
    ends: watch::Sender<(u64, End)>,
    /// What is to be written to all clients as if the server had.
    said: watch::Sender<&'static [u8]>,
    open: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (flow, ends) = (watch::Sender::new(Flow::Pass), watch::Sender::new((0, End::Close)));
        let said = watch::Sender::new(&b""[..]);
        let (released, all_released) = {
            let it = watch::Sender::new(());
            (it.clone(), it)
        };
        let open = Arc::new(AtomicUsize::new(0));
        let (flows, all_ends, all_said, all) = (flow.clone(), ends.clone(), said.clone(), Arc::clone(&open));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *flows.borrow() == Flow::Refuse {
                    continue;
                }
                let (flow, ends, said) = (flows.subscribe(), all_ends.subscribe(), all_said.subscribe());
                let released = all_released.subscribe();
                let counted = Counted::new(&all);
                tokio::spawn(async move {
                    let _counted = counted;
                    Box::pin(carry(client, server, flow, released, ends, said)).await;
                });
            }
        });
        Self { address, flow, released, ends, said, open, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn set(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }

    /// What is late arrives.
    pub(crate) fn release(&self) {
        self.released.send_replace(());
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.ends.send_modify(|(count, end)| (*count, *end) = (*count + 1, End::Close));
    }

    /// Resets all connections (RST).
    pub(crate) fn reset(&self) {
        self.ends.send_modify(|(count, end)| (*count, *end) = (*count + 1, End::Reset));
    }

    /// Writes this to all clients that are connected, as an answer to whatever was asked first.
    pub(crate) fn say(&self, answer: &'static [u8]) {
        self.said.send_replace(answer);
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(open))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    flow: watch::Receiver<Flow>,
    mut released: watch::Receiver<()>,
    mut ends: watch::Receiver<(u64, End)>,
    mut said: watch::Receiver<&'static [u8]>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut asked, mut answered) = ([0; 16_384], [0; 16_384]);
    loop {
        let going_on = tokio::select! {
            ended = ends.changed() => {
                if ended.is_ok() && ends.borrow().1 == End::Reset {
                    let _ = client.set_zero_linger();
                }
                return;
            }
            Ok(()) = said.changed() => {
                let answer = *said.borrow_and_update();
                client.write_all(answer).await
            }
            read = client.read(&mut asked) => match read {
                Ok(read @ 1..) => {
                    let now = flow.borrow().clone();
                    match now {
                        Flow::Hole => Ok(()),
                        Flow::Late => {
                            let _ = released.changed().await;
                            server.write_all(&asked[..read]).await
                        }
                        Flow::Say(answer) => client.write_all(&answer.repeat(requests(&asked[..read]))).await,
                        _ => server.write_all(&asked[..read]).await,
                    }
                }
                _ => return,
            },
            read = server.read(&mut answered) => match read {
                Ok(read @ 1..) => {
                    let flow = flow.borrow().clone();
                    match flow {
                        Flow::Hole => Ok(()),
                        Flow::LoseAnswers => return,
                        Flow::Slow(delay) => {
                            sleep(delay).await;
                            client.write_all(&answered[..read]).await
                        }
                        _ => client.write_all(&answered[..read]).await,
                    }
                }
                _ => return,
            },
        };
        if going_on.is_err() {
            return;
        }
    }
}

/// How many requests there are in this, of the kinds that are made here; one where there is only a part of one.
fn requests(asked: &[u8]) -> usize {
    let begins = |names: &[u8]| names.starts_with(b"\r\nEVAL") || names.starts_with(b"\r\nCLIENT");
    asked.windows(8).filter(|names| begins(names)).count().max(1)
}
