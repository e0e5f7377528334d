//! `[store]`: what is read, and what is refused in which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use llm_client::llm_protocol::ModelAdapter;
use llm_client::llm_protocol::testing::ScriptedModel;
use llm_client::{
    Config, ConfigError, FactoryError, Nodes, OutageName, ProviderContext, ProviderFactory, Registry,
};

/// A provider for whom it is enough to have a name.
struct Acme;

impl ProviderFactory for Acme {
    fn adapter(&self, context: ProviderContext<'_>) -> Result<Arc<dyn ModelAdapter>, FactoryError> {
        Ok(Arc::new(ScriptedModel::new(&context.spec.key())))
    }
}

/// `REDIS_URL` and those that begin so hold what `url` is.
fn built_with(url: &'static str, sections: &str) -> Result<(), ConfigError> {
    let registry = Registry::empty().provider("acme", Acme);
    let registry =
        registry.credentials(move |name| name.starts_with("REDIS_URL").then(|| url.to_owned().into()));
    let config = Config::from_toml(&format!("{sections}\n[[candidate]]\nprovider = 'acme'\nmodel = 'a'"))?;
    config.build(&registry).map(drop)
}

fn built(sections: &str) -> Result<(), ConfigError> {
    built_with("redis://me:hunter2@127.0.0.1:1", sections)
}

fn read(text: &str) -> Config {
    let config = Config::from_toml(text).unwrap();
    let written = toml::to_string(&config).unwrap();
    assert_eq!(Config::from_toml(&written).unwrap(), config, "{written}");
    // As other formats have it.
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config, "{json}");
    config
}

#[test]
fn every_setting_is_read() {
    let store = read(
        "[store]\nredis = 'redis://127.0.0.1:6379'\nprefix = 'app'\ntimeout = '20ms'\nstaleness = '0s'\n\
         on_outage = 'fail_open'\nrotation_on_outage = 'local_fallback'",
    )
    .store;
    assert_eq!((store.redis, store.redis_env), (Some("redis://127.0.0.1:6379".into()), None));
    assert_eq!((store.timeout, store.staleness), (Some(Duration::from_millis(20)), Some(Duration::ZERO)));
    assert_eq!(store.prefix.as_deref(), Some("app"));
    assert_eq!(store.on_outage, Some(OutageName::FailOpen));
    assert_eq!(store.rotation_on_outage, Some(OutageName::LocalFallback));

    let nodes = ["redis://127.0.0.1:7000", "redis://127.0.0.1:7001"];
    let cluster = read(&format!("store.redis = {nodes:?}")).store;
    assert_eq!(cluster.redis, Some(Nodes::Cluster(nodes.map(str::to_owned).into())));
    assert_eq!(read("store.redis_env = 'REDIS_URL'").store.redis_env, Some("REDIS_URL".into()));
    assert_eq!(read("store.on_outage = 'fail_closed'").store.on_outage, Some(OutageName::FailClosed));
    let both = read("[store]\nredis = 'redis://127.0.0.1:1'\nmemcached = '127.0.0.1:11211'").store;
    assert_eq!(both.memcached.as_deref(), Some("127.0.0.1:11211"));
    let nothing = r#"{"store": {"redis": null, "redis_env": null, "memcached": null, "on_outage": null}}"#;
    assert_eq!(serde_json::from_str::<Config>(nothing).unwrap(), Config::default());
    built("[store]").unwrap();
    // Also where turns are not shared, as that may be set later.
    #[cfg(feature = "redis")]
    built("[store]\nredis = 'redis://127.0.0.1:1'\nrotation_on_outage = 'fail_closed'").unwrap();
}

#[test]
fn what_contradicts_itself_is_refused_by_its_name() {
    let redis = "redis = 'redis://127.0.0.1:1'";
    let no_store = "does nothing without `redis`, `redis_env` or `memcached`";
    let no_redis = "does nothing without `redis` or `redis_env`";
    let no_turns = "does nothing without `failover.order = \"round_robin\"`";
    let credential = "has a user or a password in it, which do not belong here: put the URL into an environment \
                      variable, and the variable's name into `redis_env`";
    let no_name = "is not the name of an environment variable; the URL itself belongs into `redis`, if it has no \
                   password";
    for (settings, name, reason) in [
        ("prefix = 'x'", "prefix", no_store),
        ("timeout = '1s'", "timeout", no_store),
        ("staleness = '1s'", "staleness", no_redis),
        ("on_outage = 'fail_open'", "on_outage", no_redis),
        ("memcached = 'h:1'\nstaleness = '1s'", "staleness", no_redis),
        ("memcached = 'h:1'\non_outage = 'fail_open'", "on_outage", no_redis),
        ("memcached = 'h:1'", "memcached", no_turns),
        ("memcached = ' '", "memcached", "is empty"),
        ("rotation_on_outage = 'fail_open'", "rotation_on_outage", no_store),
        (
            &format!("{redis}\nredis_env = 'REDIS_URL'"),
            "redis_env",
            "contradicts `redis`: set one of the two",
        ),
        ("redis = ''", "redis", "is empty"),
        ("redis = []", "redis", "is empty"),
        ("redis = ['redis://127.0.0.1:1', ' ']", "redis", "is empty"),
        ("redis_env = ''", "redis_env", "is empty"),
        ("redis = 'redis://:hunter2@127.0.0.1:1'", "redis", credential),
        ("redis = 'redis://hunter2@127.0.0.1:1'", "redis", credential),
        ("redis = 'me:hunter2@127.0.0.1:1'", "redis", credential),
        ("redis = 'unix:///run/redis?pass=hunter2'", "redis", credential),
        ("redis = 'unix:///run/redis?db=1&p%61ss=hunter2'", "redis", credential),
        ("redis = ['redis://127.0.0.1:1', 'redis://:hunter2@127.0.0.1:2']", "redis", credential),
        ("redis_env = 'redis://:hunter2@127.0.0.1:1'", "redis_env", no_name),
        ("redis_env = ['REDIS_URL', 'sk-hunter2-hunter2']", "redis_env", no_name),
        (&format!("{redis}\nprefix = ' '"), "prefix", "is empty"),
        (&format!("{redis}\nprefix = \"a\\nb\""), "prefix", "has a control character in it"),
        (
            &format!("{redis}\nprefix = 'a{{b}}'"),
            "prefix",
            "has a brace in it, which a Cluster would distribute keys by",
        ),
        (&format!("{redis}\ntimeout = '0s'"), "timeout", "is below 1 ms: the store could never be in time"),
        (
            &format!("{redis}\ntimeout = '5s'"),
            "timeout",
            "is not below 5 s: calls give up on any store by then",
        ),
        (
            &format!("{redis}\nstaleness = '61s'"),
            "staleness",
            "is above 1 min: what others find out would come too late",
        ),
        (
            &format!("{redis}\ntimeout = '999us'"),
            "timeout",
            "is below 1 ms: the store could never be in time",
        ),
        (
            "redis = 'rediss://127.0.0.1:1/#insecure'",
            "redis",
            "has a `#` in it, which is not for a configuration",
        ),
    ] {
        let error = built(&format!("[store]\n{settings}")).unwrap_err();
        assert_eq!(error.to_string(), format!("`store.{name}` {reason}"), "{settings}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn what_they_cannot_be_is_refused_by_place_and_name() {
    let nodes = "expected a string, or a list of strings for a Cluster";
    let outages = "expected `\"local_fallback\"`, `\"fail_open\"` or `\"fail_closed\"`";
    for (text, place, parts) in [
        ("[store]\nredis = 6379", (2, 9), [nodes, "in `store.redis`"]),
        ("[store]\nredis = [6379]", (2, 9), [nodes, "in `store.redis`"]),
        ("[store]\nredis_env = true", (2, 13), [nodes, "in `store.redis_env`"]),
        ("[store]\ntimeout = 50", (2, 11), ["`50`, expected a duration", "in `store.timeout`"]),
        ("[store]\nstaleness = 'x'", (2, 13), ["\"x\" is no duration", "in `store.staleness`"]),
        ("[store]\non_outage = 'wait'", (2, 13), ["unknown variant `wait`", "in `store.on_outage`"]),
        ("[store]\non_outage = 1", (2, 13), [outages, "in `store.on_outage`"]),
        ("[store]\nrotation_on_outage = 1", (2, 22), [outages, "in `store.rotation_on_outage`"]),
        ("[store]\nmemcached = 11211", (2, 13), ["expected a string", "in `store.memcached`"]),
        ("[store]\nredi = 'x'", (2, 1), ["unknown field `redi`", "`redis_env`"]),
    ] {
        let error = Config::from_toml(text).unwrap_err();
        let ConfigError::Toml { line, column, message } = &error else { panic!("{error:?}") };
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert_eq!((*line, *column), place, "{message}");
    }
}

#[test]
fn no_debug_shows_a_password() {
    for (setting, shown) in [
        ("redis = 'redis://:hunter2@127.0.0.1:1'", "Server(***)"),
        ("redis = ['redis://:hunter2@127.0.0.1:1']", "Cluster(1 nodes)"),
        ("redis_env = 'redis://:hunter2@127.0.0.1:1'", "[\"***\"]"),
        ("redis_env = 'REDIS_URL'", "REDIS_URL"),
    ] {
        let config = Config::from_toml(&format!("store.{setting}")).unwrap();
        let debug = format!("{config:?} {:#?}", config.store);
        assert!(!debug.contains("hunter2") && debug.contains(shown), "{debug}");
    }
}

#[cfg(not(feature = "redis"))]
#[test]
fn a_build_without_stores_says_so() {
    for setting in
        ["redis = 'redis://127.0.0.1:1'", "redis = ['redis://127.0.0.1:1']", "redis_env = 'REDIS_URL'"]
    {
        let error = built(&format!("store.{setting}")).unwrap_err();
        let name = setting.split(' ').next().unwrap();
        let message =
            format!("`store.{name}` is not in this build: compile llm-client with the feature `redis`");
        assert_eq!(error.to_string(), message);
        assert!(matches!(error, ConfigError::NotCompiled { feature: "redis", .. }), "{error:?}");
    }
}

#[test]
fn turns_can_be_memcached_s() {
    let turns = |settings: &str| built(&format!("failover.order = 'round_robin'\n[store]\n{settings}"));
    let done =
        turns("memcached = '127.0.0.1:1'\nprefix = 'x'\ntimeout = '1s'\nrotation_on_outage = 'fail_open'");
    if cfg!(not(feature = "memcached")) {
        let message =
            "`store.memcached` is not in this build: compile llm-client with the feature `memcached`";
        assert_eq!(done.unwrap_err().to_string(), message);
        return;
    }
    done.unwrap();
    for (settings, name, reason) in [
        ("memcached = 'me:hunter2@h'", "memcached", "not the address of a Memcached: expected `host:port`"),
        ("memcached = 'h:1'\nprefix = 'a b'", "prefix", "a prefix is at most 200 visible ASCII characters"),
    ] {
        let error = turns(settings).unwrap_err();
        assert!(error.to_string().starts_with(&format!("`store.{name}` is of no use: {reason}")), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[cfg(feature = "redis")]
#[test]
fn the_url_comes_from_where_credentials_do() {
    // Nothing is connected to yet.
    built("store.redis_env = 'REDIS_URL'").unwrap();
    built("store.redis = 'redis://127.0.0.1:1/2'").unwrap();
    built("store.redis = 'unix:///run/redis.sock'").unwrap();
    let error = built("store.redis_env = 'REDIS_UR'").unwrap_err();
    let missing =
        "the environment variable `REDIS_UR`, for the credential of `store.redis_env`, is not set or empty";
    assert_eq!(error.to_string(), missing);
    let no_url = "is of no use: not the URL of a Redis: expected `redis://host:port`, `rediss://host:port` or \
                  `unix:///path`";
    for (url, setting) in [
        ("", "redis = 'http://127.0.0.1:1'"),
        ("", "redis = 'nonsense'"),
        ("hunter2", "redis_env = 'REDIS_URL'"),
        ("http://me:hunter2@127.0.0.1:1", "redis_env = 'REDIS_URL'"),
    ] {
        let error = built_with(url, &format!("store.{setting}")).unwrap_err();
        let name = setting.split(' ').next().unwrap();
        assert_eq!(error.to_string(), format!("`store.{name}` {no_url}"), "{url} {setting}");
    }
}

#[cfg(all(feature = "redis", not(feature = "redis-tls")))]
#[test]
fn a_build_without_tls_says_so() {
    let error = built("store.redis = 'rediss://127.0.0.1:1'").unwrap_err();
    assert!(matches!(&error, ConfigError::NotCompiled { feature: "redis-tls", .. }), "{error:?}");
}

#[cfg(feature = "redis")]
#[test]
fn a_cluster_is_a_list() {
    for setting in ["redis = ['redis://127.0.0.1:1']", "redis_env = ['REDIS_URL_1', 'REDIS_URL_2']"] {
        let done = built(&format!("store.{setting}"));
        if cfg!(feature = "redis-cluster") {
            done.unwrap();
        } else {
            let error = done.unwrap_err();
            assert!(matches!(&error, ConfigError::NotCompiled { feature: "redis-cluster", .. }), "{error:?}");
        }
    }
}
