//! What holds for every call, whatever the models do.

pub(crate) mod attempts;
pub(crate) mod breaker;
pub(crate) mod failover;
pub(crate) mod leftovers;
pub(crate) mod panel;
pub(crate) mod steps;
pub(crate) mod trail;
