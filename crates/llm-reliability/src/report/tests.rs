//! The report and its JSON.
