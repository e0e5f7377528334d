//! Adapters from llm-protocol to the wire formats of language-model vendors, over reqwest.
