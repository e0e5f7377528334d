//! The table, and the files that its rows point to.

mod files;
mod keel;
mod robust_calls;
mod robust_setup;

use crate::need::{Need, Proof, Source};

/// The claims of a part of a document, each with what became of it.
type Section = (&'static str, &'static [(&'static str, Proof)]);

/// Every row, in the order of the documents.
pub fn all() -> Vec<Need> {
    let documents = [
        (Source::Keel, keel::SECTIONS),
        (Source::Robust, robust_calls::SECTIONS),
        (Source::Robust, robust_setup::SECTIONS),
    ];
    let sections =
        documents.iter().flat_map(|(source, sections)| sections.iter().map(move |it| (*source, it)));
    let rows = sections.flat_map(|(source, (section, rows))| {
        rows.iter().map(move |(claim, proof)| Need { source, section, claim, proof: *proof })
    });
    rows.collect()
}
