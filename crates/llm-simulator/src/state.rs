//! What all connections of a simulator share: scripts, counts and the log of requests.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    behaviour::Behaviour,
    keys::Key,
    opaque::Ids,
    received::{Ended, Received},
    refusal::{Refusal, Screened},
    script::Script,
    simulator::Simulator,
    syntax::ParseBehaviourError,
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
    ids: Ids,
}

#[derive(Debug, Default)]
struct State {
    models: HashMap<String, Model>,
    otherwise: Script,
    /// The only credential that is accepted.
    key: Option<Key>,
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

/// What is to be done with a request: a behaviour, or why there is none.
pub(crate) type Chosen = Result<Box<Behaviour>, Refusal>;

impl Shared {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(()), ids: Ids::new() }
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

    pub(crate) fn require(&self, key: Option<Key>) {
        self.change(|state| state.key = key);
    }

    pub(crate) fn ids(&self) -> Ids {
        self.ids
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
    /// One that is refused takes no step of a script.
    pub(crate) fn begin(&self, received: Received, body: &[u8], mut screened: Screened<'_>) -> (u64, Chosen) {
        let body = Arc::from(body);
        // What takes long is done without the lock, for which every connection would have to wait.
        let named = named(&received.model);
        if let Ok(named) = &named {
            let likely = self.state.lock().next(&received.model, named);
            if let Ok(behaviour) = likely {
                screened.prepare(&behaviour);
            }
        }
        self.change(|state| state.begin(received, body, named, &screened))
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

/// What the name of a model says of how it behaves, if it does.
type Named = Option<Result<Script, ParseBehaviourError>>;

fn named(model: &str) -> Result<Named, Refusal> {
    if model.len() > MAX_MODEL_NAME {
        let why = format!("the name of the model has more than {MAX_MODEL_NAME} bytes");
        return Err(Refusal::new(why));
    }
    Ok(model.split_once('!').map(|(_, directives)| directives.parse()))
}

impl State {
    fn begin(
        &mut self,
        mut received: Received,
        body: Arc<[u8]>,
        named: Result<Named, Refusal>,
        screened: &Screened<'_>,
    ) -> (u64, Chosen) {
        let number = self.received;
        received.number = number;
        self.received += 1;
        self.open_requests += 1;
        let chosen = named.and_then(|named| self.choose(&received.model, &named, screened));
        let bytes = size_of::<Entry>() + received.head_bytes() + body.len();
        self.log.push_back(Entry { received, body, bytes });
        self.log_bytes += bytes;
        while self.log.len() > MAX_LOG || (self.log_bytes > MAX_LOG_BYTES && self.log.len() > 1) {
            self.log_bytes -= self.log.pop_front().map_or(0, |entry| entry.bytes);
        }
        (number, chosen)
    }

    /// The behaviour that is next for a model.
    fn next(&self, name: &str, named: &Named) -> Result<Behaviour, Refusal> {
        let model = self.models.get(name);
        let step = model.map_or(0, |model| model.step);
        let script = match (model.and_then(|model| model.script.as_ref()), named) {
            (Some(script), _) | (None, Some(Ok(script))) => script,
            // What is told of all models is not told of the list of them.
            (None, None) if name == Simulator::MODELS => return Ok(Behaviour::default()),
            (None, None) => &self.otherwise,
            (None, Some(Err(error))) => return Err(Refusal::new(format!("model `{name}`: {error}"))),
        };
        Ok(script.step(step))
    }

    fn choose(&mut self, name: &str, named: &Named, screened: &Screened<'_>) -> Chosen {
        if self.models.len() >= MAX_MODELS && !self.models.contains_key(name) {
            let why = format!("the simulator tells at most {MAX_MODELS} models apart");
            return Err(Refusal::new(why));
        }
        let behaviour = self.next(name, named);
        let model = self.models.entry(name.to_owned()).or_default();
        model.received += 1;
        let behaviour = behaviour?;
        screened.judge(&behaviour, self.key.as_ref())?;
        model.step += 1;
        Ok(Box::new(behaviour))
    }

    /// Requests are remembered in order and without gaps.
    fn entry(&mut self, number: u64) -> Option<&mut Entry> {
        let first = self.log.front()?.received.number;
        self.log.get_mut(usize::try_from(number.checked_sub(first)?).ok()?)
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
