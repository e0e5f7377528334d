//! Vendors, strategies and stores made ready: a provider registry and a TOML configuration.
