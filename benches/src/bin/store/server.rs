//! The servers, each in a process of its own, and what the Redis says of what it was asked.

use llm_benches::Failure;
use test_servers::{MemcachedServer, RedisServer};

/// A Redis and a Memcached. They end with this.
pub(crate) struct Servers {
    pub(crate) redis: RedisServer,
    pub(crate) memcached: MemcachedServer,
}

/// What the Redis has seen since it was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Scripts run.
    pub(crate) scripts: u64,
    /// Bytes of commands.
    pub(crate) bytes: u64,
}

impl Servers {
    pub(crate) async fn start() -> Result<Self, Failure> {
        Ok(Self { redis: RedisServer::start().await?, memcached: MemcachedServer::start().await? })
    }

    /// The asking itself is no script, and its bytes are few beside those of any number of calls.
    pub(crate) async fn seen(&self) -> Result<Seen, Failure> {
        let commands = self.redis.cli(&["INFO", "commandstats"]).await?.text();
        let calls = |name: &str| field(&commands, name, "calls=", ',').unwrap_or_default();
        let stats = self.redis.cli(&["INFO", "stats"]).await?.text();
        let bytes = field(&stats, "total_net_input_bytes:", "", '\r').ok_or("no total_net_input_bytes")?;
        Ok(Seen { scripts: calls("cmdstat_evalsha:") + calls("cmdstat_eval:"), bytes })
    }
}

/// The number in a line that begins with `name`, between `before` and `after`.
fn field(text: &str, name: &str, before: &str, after: char) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.strip_prefix(before)?.split(after).next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_number_is_found_by_its_name() {
        let text = "# Stats\r\nother:1\r\ntotal:42\r\ncmdstat_evalsha:calls=7,usec=12\r\n";
        assert_eq!(field(text, "total:", "", '\r'), Some(42));
        assert_eq!(field(text, "cmdstat_evalsha:", "calls=", ','), Some(7));
        assert_eq!(field(text, "cmdstat_eval:", "calls=", ','), None);
    }
}
