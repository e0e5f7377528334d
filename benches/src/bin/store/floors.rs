//! What is asked of the stores by hand, through one connection that all calls share.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use llm_benches::Failure;
use redis::aio::MultiplexedConnection;
use redis::cmd;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::hand::{ASK, END, GIVE, Prepared, TAKE, TURN, connect, lease, names};
use crate::row::{Behind, Calls, Finishing, Row, Tasks, Work, Working, now, take};
use crate::server::Servers;

/// A circuit's rules, as `ours::settings` has them.
const RULES: [&str; 13] =
    ["", "0", "row", "3", "0", "0", "0", "120000000", "0", "0e0", PROBES, "0", HOLD_MICROS];
const PROBES: &str = "10000";
const HOLD_MICROS: &str = "60000000";
/// Limits, as `ours::limits` has them.
const LIMITS: [&str; 12] =
    ["", "0", "1000000000", "1e3", "8.64e13", "1000000000", "1e3", "8.64e13", "0", "0e0", "0e0", "0"];
/// For so many milliseconds a turn is remembered.
const TURNS_LAST: &str = "2592000000";

const BREAKER: [&str; 6] = ["b", "bp", "bx", "br", "bc", "bt"];
const LIMITER: [&str; 4] = ["l", "lh", "lc", "lx"];
/// As long as the prefixes of our stores.
const PREFIX: &str = "by-hand";

pub(crate) async fn rows(servers: &Servers) -> Result<Vec<Row>, Failure> {
    let connection = connect(&servers.redis.url()).await?;
    let trivial = Prepared::new(&connection, "return 1", Vec::new(), &[]).await?;
    let make = Make { connection, trivial };
    Ok(vec![
        Row { scripts: 0, ..row("floor/ping", "PING", make.ping()) },
        row("floor/return", "EVALSHA of `return 1`", make.trivial()),
        row(
            "floor/ask",
            "EVALSHA of the script that admits to a closed circuit, with the same arguments",
            make.ask().await?,
        )
        .beside("floor/return"),
        Row {
            scripts: 2,
            ..row(
                "floor/probe",
                "the same for a half-open circuit that lets 10,000 probes out, and EVALSHA of the script that ends the probe, \
                 which is not waited for",
                make.probe().await?,
            )
        }
        .beside("floor/return"),
        Row {
            scripts: 2,
            ..row(
                "floor/take",
                "EVALSHA of the script that reserves one request and 1,000 tokens, and of the one that settles them as they \
                 were reserved, which is not waited for",
                make.take("1000").await?,
            )
        }
        .beside("floor/return"),
        Row {
            scripts: 2,
            ..row(
                "floor/take-less",
                "floor/take, settled with 800 tokens, so that all reservations that are out are looked at",
                make.take("800").await?,
            )
        }
        .beside("floor/return"),
        row("floor/turn", "EVALSHA of the script that takes a turn", make.turn().await?)
            .beside("floor/return"),
        Row {
            scripts: 0,
            ..row(
                "floor/incr",
                "incr of a Memcached, where each of those who call at once has a connection to itself",
                Arc::new(Increments { address: servers.memcached.address() }),
            )
        },
    ])
}

fn row(id: &'static str, what: &'static str, work: Arc<dyn Work>) -> Row {
    Row { id, what, floor: None, judged: false, scripts: 1, work }
}

impl Row {
    fn beside(self, floor: &'static str) -> Self {
        Self { floor: Some(floor), ..self }
    }
}

struct Make {
    connection: MultiplexedConnection,
    trivial: Arc<Prepared>,
}

impl Make {
    fn ping(&self) -> Arc<dyn Work> {
        let connection = self.connection.clone();
        calls(move || {
            let mut connection = connection.clone();
            async move { expect(&*cmd("PING").query_async::<String>(&mut connection).await?, "PONG") }
        })
    }

    fn trivial(&self) -> Arc<dyn Work> {
        let (connection, script) = (self.connection.clone(), Arc::clone(&self.trivial));
        calls(move || {
            let (connection, script) = (connection.clone(), Arc::clone(&script));
            async move { expect(&script.run::<u64>(connection, &[]).await?, &1) }
        })
    }

    async fn ask(&self) -> Result<Arc<dyn Work>, Failure> {
        let script = Prepared::new(&self.connection, ASK, names(PREFIX, LARGE, &BREAKER), &RULES).await?;
        let connection = self.connection.clone();
        Ok(calls(move || {
            let (connection, script) = (connection.clone(), Arc::clone(&script));
            async move {
                let answer: Vec<u64> = script.run(connection, &[&lease(), HOLD_MICROS]).await?;
                expect(&answer.first(), &Some(&1))
            }
        }))
    }

    async fn probe(&self) -> Result<Arc<dyn Work>, Failure> {
        let keys = names(PREFIX, LARGE + 1, &BREAKER);
        let mut half_open = cmd("HSET");
        half_open.arg(keys.first());
        for (name, value) in [("v", "1"), ("s", "h"), ("e", EPOCH), ("u", "0"), ("t", EPOCH), ("f", "3")] {
            half_open.arg(name).arg(value);
        }
        for (name, value) in [("n", "1"), ("m", "a"), ("rc", "0"), ("rf", "0"), ("rs", "0")] {
            half_open.arg(name).arg(value);
        }
        half_open.exec_async(&mut self.connection.clone()).await?;
        let ask = Prepared::new(&self.connection, ASK, keys.clone(), &RULES).await?;
        let end = Prepared::new(&self.connection, END, keys, &RULES).await?;
        let tasks = Arc::<Tasks>::default();
        let behind = Behind::Tasks(Arc::clone(&tasks));
        let connection = self.connection.clone();
        let call = move || {
            let (connection, ask, end) = (connection.clone(), Arc::clone(&ask), Arc::clone(&end));
            let tasks = Arc::clone(&tasks);
            async move {
                let lease = lease();
                let answer: Vec<u64> = ask.run(connection.clone(), &[&lease, HOLD_MICROS]).await?;
                expect(&answer.first(), &Some(&2))?;
                tasks.spawn(async move {
                    let ended: Vec<u64> = end.run(connection, &[&lease, EPOCH, "n", "0", "0"]).await?;
                    expect(&ended.first(), &Some(&0))
                });
                Ok(())
            }
        };
        Ok(Arc::new(Calls { call, behind }))
    }

    async fn take(&self, tokens: &'static str) -> Result<Arc<dyn Work>, Failure> {
        let keys = names(PREFIX, LARGE + u128::try_from(tokens.len())?, &LIMITER);
        let take = Prepared::new(&self.connection, TAKE, keys.clone(), &LIMITS).await?;
        let give = Prepared::new(&self.connection, GIVE, keys, &LIMITS).await?;
        let tasks = Arc::<Tasks>::default();
        let behind = Behind::Tasks(Arc::clone(&tasks));
        let connection = self.connection.clone();
        let call = move || {
            let (connection, take, give) = (connection.clone(), Arc::clone(&take), Arc::clone(&give));
            let tasks = Arc::clone(&tasks);
            async move {
                let lease = lease();
                let cost = [&lease, HOLD_MICROS, "1", "1000", ""];
                let answer: Vec<u64> = take.run(connection.clone(), &cost).await?;
                expect(&answer.first(), &Some(&1))?;
                tasks.spawn(async move {
                    let costs = [&lease, "0", "1", "1000", "", "1", tokens, ""];
                    let ended: Vec<u64> = give.run(connection, &costs).await?;
                    expect(&ended.first(), &Some(&0))
                });
                Ok(())
            }
        };
        Ok(Arc::new(Calls { call, behind }))
    }

    async fn turn(&self) -> Result<Arc<dyn Work>, Failure> {
        let keys = names(PREFIX, LARGE, &["t"]);
        let script = Prepared::new(&self.connection, TURN, keys, &["", "0", TURNS_LAST]).await?;
        let connection = self.connection.clone();
        Ok(calls(move || {
            let (connection, script) = (connection.clone(), Arc::clone(&script));
            async move { script.run::<u64>(connection, &[]).await.map(drop) }
        }))
    }
}

/// A key's hash is a large number.
const LARGE: u128 = 1 << 127;
/// When a circuit became half-open, in microseconds.
const EPOCH: &str = "1700000000000000";

fn calls<F, C>(call: F) -> Arc<dyn Work>
where
    F: Fn() -> C + Send + Sync + 'static,
    C: Future<Output = Result<(), Failure>> + Send + 'static,
{
    Arc::new(Calls { call, behind: Behind::Nothing })
}

fn expect<T: PartialEq<U> + ?Sized, U: ?Sized>(answer: &T, expected: &U) -> Result<(), Failure> {
    if answer == expected { Ok(()) } else { Err("the server answers something else".into()) }
}

/// Workers with a connection each.
struct Increments {
    address: SocketAddr,
}

impl Work for Increments {
    fn work(self: Arc<Self>, left: Arc<AtomicU32>) -> Working {
        Box::pin(async move {
            let socket = TcpStream::connect(self.address).await?;
            socket.set_nodelay(true)?;
            let mut socket = BufReader::new(socket);
            let mut line = String::new();
            socket.get_mut().write_all(b"add by-hand 0 0 1\r\n0\r\n").await?;
            socket.read_line(&mut line).await?;
            let mut took = Vec::new();
            while take(&left) {
                let start = now();
                line.clear();
                socket.get_mut().write_all(b"incr by-hand 1\r\n").await?;
                socket.read_line(&mut line).await?;
                let _count: u64 = line.trim().parse().map_err(io::Error::other)?;
                took.push(start.elapsed());
            }
            Ok(took)
        })
    }

    fn finish(self: Arc<Self>) -> Finishing {
        Box::pin(async { Ok(()) })
    }
}
