//! The consensus core of one shard behind the C header `consensus.h`. Owns the translation between C and `core.rs`; it
//! holds no rule of its own. Called by native/raft.

pub mod core;
pub mod view;

mod ffi;
