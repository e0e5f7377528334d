//! What all connections of a simulator share: scripts, counts and the log of requests.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    behaviour::Behaviour,
    received::{Ended, Received},
    script::Script,
    simulator::Simulator,
};

/// How many requests are remembered, and how many bytes they may have together.
const MAX_LOG: usize = 10_000;
const MAX_LOG_BYTES: usize = 64 * 1024 * 1024;
/// How many names of models are told apart, and how long they may be.
const MAX_MODELS: usize = 10_000;
const MAX_MODEL_NAME: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    models: HashMap<String, Model>,
    otherwise: Script,
    log: VecDeque<Entry>,
    log_bytes: usize,
    received: u64,
    open_requests: usize,
    connections: u64,
    open_connections: usize,
}

#[derive(Debug, Default)]
struct Model {
    script: Option<Script>,
    /// Requests since the script was set.
    step: usize,
    received: usize,
}

#[derive(Debug)]
struct Entry {
    /// All but the body, which is many times as large when it has been parsed.
    received: Received,
    body: Arc<[u8]>,
    bytes: usize,
}

/// What is to be done with a model.
pub(crate) enum Chosen {
    Behaviour(Box<Behaviour>),
    /// The directives in its name are wrong.
    Refused(String),
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(()) }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Changes the state and wakes whoever waits for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock());
        self.changed.send_replace(());
        result
    }

    pub(crate) fn script(&self, model: &str, script: Script) {
        self.change(|state| {
            let model = state.models.entry(model.to_owned()).or_default();
            model.script = Some(script);
            model.step = 0;
        });
    }

    pub(crate) fn otherwise(&self, script: Script) {
        self.change(|state| state.otherwise = script);
    }

    /// The scripted models in alphabetical order, or one that says that there are none.
    pub(crate) fn models(&self) -> Vec<String> {
        let state = self.state.lock();
        let scripted =
            state.models.iter().filter(|(name, model)| model.script.is_some() && !name.starts_with('/'));
        let mut names: Vec<String> = scripted.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        if names.is_empty() {
            names.push("simulated-model".to_owned());
        }
        names
    }

    /// Counts a request, remembers it and chooses what it gets.
    /// One that is refused anyway (`answerable` is false) takes no step of a script.
    pub(crate) fn begin(&self, received: Received, body: &[u8], answerable: bool) -> (u64, Chosen) {
        let body = Arc::from(body);
        self.change(|state| state.begin(received, body, answerable))
    }

    pub(crate) fn end(&self, number: u64, ended: Ended) {
        self.change(|state| {
            state.open_requests -= 1;
            if let Some(entry) = state.entry(number) {
                entry.received.ended = ended;
            }
        });
    }

    pub(crate) fn connected(&self) -> u64 {
        self.change(|state| {
            state.connections += 1;
            state.open_connections += 1;
            state.connections - 1
        })
    }

    pub(crate) fn disconnected(&self) {
        self.change(|state| state.open_connections -= 1);
    }

    pub(crate) fn received(&self, model: &str) -> usize {
        self.state.lock().models.get(model).map_or(0, |model| model.received)
    }

    pub(crate) fn received_total(&self) -> u64 {
        self.state.lock().received
    }

    pub(crate) fn open_requests(&self) -> usize {
        self.state.lock().open_requests
    }

    pub(crate) fn connections(&self) -> u64 {
        self.state.lock().connections
    }

    pub(crate) fn open_connections(&self) -> usize {
        self.state.lock().open_connections
    }

    pub(crate) fn requests(&self, model: Option<&str>) -> Vec<Received> {
        let entries: Vec<(Received, Arc<[u8]>)> = {
            let state = self.state.lock();
            let all = state.log.iter();
            let entries = all.filter(|entry| model.is_none_or(|model| entry.received.model == model));
            entries.map(|entry| (entry.received.clone(), Arc::clone(&entry.body))).collect()
        };
        // Parsed without the lock, for which every connection would have to wait.
        let parsed = entries.into_iter().map(|(mut received, body)| {
            received.body = serde_json::from_slice(&body).unwrap_or_default();
            received
        });
        parsed.collect()
    }
}

impl State {
    fn begin(&mut self, mut received: Received, body: Arc<[u8]>, answerable: bool) -> (u64, Chosen) {
        let number = self.received;
        received.number = number;
        self.received += 1;
        self.open_requests += 1;
        let chosen = self.choose(&received.model, answerable);
        let bytes = size_of::<Entry>() + received.head_bytes() + body.len();
        self.log.push_back(Entry { received, body, bytes });
        self.log_bytes += bytes;
        while self.log.len() > MAX_LOG || (self.log_bytes > MAX_LOG_BYTES && self.log.len() > 1) {
            self.log_bytes -= self.log.pop_front().map_or(0, |entry| entry.bytes);
        }
        (number, chosen)
    }

    fn choose(&mut self, name: &str, answerable: bool) -> Chosen {
        if name.len() > MAX_MODEL_NAME {
            return Chosen::Refused(format!("the name of the model has more than {MAX_MODEL_NAME} bytes"));
        }
        if self.models.len() >= MAX_MODELS && !self.models.contains_key(name) {
            return Chosen::Refused(format!("the simulator tells at most {MAX_MODELS} models apart"));
        }
        let model = self.models.entry(name.to_owned()).or_default();
        let step = model.step;
        model.step += usize::from(answerable);
        model.received += 1;
        let behaviour = match (&model.script, name.split_once('!')) {
            (Some(script), _) => script.step(step),
            // What is told of all models is not told of the list of them.
            (None, None) if name == Simulator::MODELS => Behaviour::default(),
            (None, None) => self.otherwise.step(step),
            (None, Some((_, directives))) => match directives.parse::<Script>() {
                Ok(script) => script.step(step),
                Err(error) => return Chosen::Refused(format!("model `{name}`: {error}")),
            },
        };
        Chosen::Behaviour(Box::new(behaviour))
    }

    /// Requests are remembered in order and without gaps.
    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let first = self.log.front()?.received.number;
        self.log.get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{Behaviour, Chosen, Ended, MAX_LOG, MAX_MODEL_NAME, MAX_MODELS, Received, Shared};
    use crate::Wire;

    fn request(model: &str) -> Received {
        Received {
            number: 0,
            connection: 0,
            model: model.to_owned(),
            wire: Wire::OpenAi,
            method: "POST".to_owned(),
            path: "/".to_owned(),
            streamed: false,
            body: Value::Null,
            ended: Ended::Open,
            headers: Vec::new(),
        }
    }

    #[test]
    fn the_log_is_bounded_and_the_counts_are_not() {
        let shared = Shared::new();
        let (first, _) = shared.begin(request("m"), b"", true);
        for _ in 0..MAX_LOG {
            let (number, _) = shared.begin(request("m"), b"", true);
            shared.end(number, Ended::Completed);
        }
        assert_eq!(shared.requests(None).len(), MAX_LOG);
        assert_eq!(shared.received("m"), MAX_LOG + 1);
        assert_eq!(shared.open_requests(), 1);
        shared.end(first, Ended::Cut); // forgotten, which must do no harm
        assert_eq!(shared.open_requests(), 0);
        assert!(shared.requests(Some("m")).iter().all(|request| request.ended == Ended::Completed));
    }

    #[test]
    fn the_names_of_models_are_bounded() {
        let shared = Shared::new();
        for number in 0..MAX_MODELS {
            let (_, chosen) = shared.begin(request(&number.to_string()), b"", true);
            assert!(matches!(chosen, Chosen::Behaviour(_)));
        }
        assert!(matches!(shared.begin(request("one more"), b"", true).1, Chosen::Refused(_)));
        assert!(matches!(shared.begin(request("0"), b"", true).1, Chosen::Behaviour(_)));
        let shared = Shared::new();
        assert!(matches!(
            shared.begin(request(&"m".repeat(MAX_MODEL_NAME + 1)), b"", true).1,
            Chosen::Refused(_)
        ));
        assert_eq!(shared.received_total(), 1);
    }

    #[test]
    fn the_log_is_bounded_by_bytes_too() {
        let shared = Shared::new();
        let body = vec![b' '; 16 * 1024 * 1024];
        for _ in 0..10 {
            shared.begin(request("m"), &body, true);
        }
        assert_eq!(shared.requests(None).len(), 3); // the fourth would fit but for its head
        let shared = Shared::new();
        let path = "p".repeat(60 * 1024);
        for _ in 0..2000 {
            let headers = vec![("x".to_owned(), path.clone())];
            shared.begin(Received { path: path.clone(), headers, ..request("m") }, b"", true);
        }
        let kept = shared.requests(None).len();
        assert!((500..550).contains(&kept), "{kept} heads of 120 KiB were kept");
    }

    #[test]
    fn what_is_refused_anyway_takes_no_step() {
        let shared = Shared::new();
        shared.script("m", [Behaviour::status(500), Behaviour::default()].into());
        shared.begin(request("m"), b"", false);
        let status = || match shared.begin(request("m"), b"", true).1 {
            Chosen::Behaviour(behaviour) => behaviour.status,
            Chosen::Refused(_) => 0,
        };
        assert_eq!([status(), status()], [500, 200]);
        assert_eq!(shared.received("m"), 3);
    }
}
