//! The Storage view that the core reads: entries not yet cut, the newest of them in memory within a byte budget, older
//! ones read back from the log by a callback. Owns the terms of all entries that were not cut. Called by `core.rs`.
//!
//! An entry's bytes lie in memory once: this cache, the log writer and the apply thread share them. What the library
//! gets is a copy that lives as long as one Ready.

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Result, Storage, StorageError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

/// An entry whose bytes are shared with other threads.
#[derive(Clone)]
pub struct SharedEntry {
    pub index: u64,
    pub term: u64,
    pub kind: i32,
    pub data: Arc<Vec<u8>>,
}

impl From<Entry> for SharedEntry {
    fn from(entry: Entry) -> SharedEntry {
        SharedEntry {
            index: entry.index,
            term: entry.term,
            kind: entry.entry_type,
            data: Arc::new(entry.data),
        }
    }
}

impl SharedEntry {
    pub fn to_entry(&self) -> Entry {
        Entry {
            entry_type: self.kind,
            term: self.term,
            index: self.index,
            data: self.data.to_vec(),
            ..Default::default()
        }
    }
}

/// Reads `[from, to)` back, at least one entry, about `bytes_max`.
pub type ReadLog = Box<dyn Fn(u64, u64, u64) -> Vec<Entry>>;

/// The most that one call of the callback asks for.
const READ_BYTES_MAX: u64 = 1 << 20;

struct State {
    hard_state: HardState,
    conf_state: ConfState,
    base_index: u64,
    base_term: u64,
    last_index: u64,
    /// Where each term begins, ascending; covers `base_index + 1 ..= last_index`.
    term_starts: VecDeque<(u64, u64)>,
    /// The newest entries, gapless up to `last_index`.
    cached: VecDeque<SharedEntry>,
    cached_bytes: u64,
    cache_bytes_max: u64,
    /// Entries up to here are in the log and may leave the cache.
    persisted_index: u64,
}

#[derive(Clone)]
pub struct View {
    state: Rc<RefCell<State>>,
    read_log: Rc<ReadLog>,
}

pub struct ViewOptions {
    pub hard_state: HardState,
    pub conf_state: ConfState,
    pub base_index: u64,
    pub base_term: u64,
    pub last_index: u64,
    pub cache_bytes_max: u64,
}

impl View {
    /// Reads the whole log once, to learn its terms and to fill the cache.
    pub fn open(options: ViewOptions, read_log: ReadLog) -> View {
        let view = View {
            state: Rc::new(RefCell::new(State {
                hard_state: options.hard_state,
                conf_state: options.conf_state,
                base_index: options.base_index,
                base_term: options.base_term,
                last_index: options.base_index,
                term_starts: VecDeque::new(),
                cached: VecDeque::new(),
                cached_bytes: 0,
                cache_bytes_max: options.cache_bytes_max,
                persisted_index: 0,
            })),
            read_log: Rc::new(read_log),
        };
        let mut next = options.base_index + 1;
        while next <= options.last_index {
            let entries = (view.read_log)(next, options.last_index + 1, READ_BYTES_MAX);
            next += entries.len() as u64;
            let last = next - 1;
            view.append(entries);
            view.persisted(last);
        }
        view
    }

    /// Takes the entries of a Ready; one at or below the last index truncates first. Gives them back shared.
    pub fn append(&self, entries: Vec<Entry>) -> Vec<SharedEntry> {
        let mut state = self.state.borrow_mut();
        let entries: Vec<SharedEntry> = entries.into_iter().map(SharedEntry::from).collect();
        let Some(first) = entries.first() else { return entries };
        state.truncate_from(first.index);
        for entry in &entries {
            assert_eq!(entry.index, state.last_index + 1, "entries follow one another");
            if state.last_term() != entry.term || state.term_starts.is_empty() {
                state.term_starts.push_back((entry.index, entry.term));
            }
            state.last_index = entry.index;
            state.cached_bytes += entry.data.len() as u64;
            state.cached.push_back(entry.clone());
        }
        state.evict();
        entries
    }

    /// The same entry with the bytes that are in memory already, where they are.
    pub fn share(&self, entry: Entry) -> SharedEntry {
        let state = self.state.borrow();
        let cached_from = state.last_index + 1 - state.cached.len() as u64;
        let cached = entry
            .index
            .checked_sub(cached_from)
            .and_then(|place| state.cached.get(place as usize));
        match cached {
            Some(cached) if cached.term == entry.term => cached.clone(),
            _ => SharedEntry::from(entry),
        }
    }

    pub fn set_hard_state(&self, hard_state: HardState) {
        self.state.borrow_mut().hard_state = hard_state;
    }

    pub fn set_conf_state(&self, conf_state: ConfState) {
        self.state.borrow_mut().conf_state = conf_state;
    }

    pub fn conf_state(&self) -> ConfState {
        self.state.borrow().conf_state.clone()
    }

    /// Everything up to `index` can be read from the log.
    pub fn persisted(&self, index: u64) {
        let mut state = self.state.borrow_mut();
        state.persisted_index = state.persisted_index.max(index);
        state.evict();
    }

    /// The log begins after `index` now; its term is kept.
    pub fn cut(&self, index: u64, term: u64) {
        let mut state = self.state.borrow_mut();
        if index <= state.base_index {
            return;
        }
        assert!(
            index <= state.last_index,
            "{index} is behind the log's end {}",
            state.last_index
        );
        state.base_index = index;
        state.base_term = term;
        while state.term_starts.len() > 1 && state.term_starts[1].0 <= index + 1 {
            state.term_starts.pop_front();
        }
        if index == state.last_index {
            state.term_starts.clear();
        } else if let Some(first) = state.term_starts.front_mut() {
            first.0 = first.0.max(index + 1);
        }
        while state.cached.front().is_some_and(|entry| entry.index <= index) {
            let entry = state.cached.pop_front().expect("just seen");
            state.cached_bytes -= entry.data.len() as u64;
        }
    }
}

impl State {
    fn last_term(&self) -> u64 {
        self.term_starts.back().map_or(self.base_term, |start| start.1)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.base_index {
            return Ok(self.base_term);
        }
        if index < self.base_index {
            return Err(Error::Store(StorageError::Compacted));
        }
        if index > self.last_index {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let place = self.term_starts.partition_point(|start| start.0 <= index);
        Ok(self.term_starts[place - 1].1)
    }

    fn truncate_from(&mut self, index: u64) {
        assert!(index > self.base_index, "{index} was cut at {}", self.base_index);
        while self.cached.back().is_some_and(|entry| entry.index >= index) {
            let entry = self.cached.pop_back().expect("just seen");
            self.cached_bytes -= entry.data.len() as u64;
        }
        while self.term_starts.back().is_some_and(|start| start.0 >= index) {
            self.term_starts.pop_back();
        }
        self.last_index = self.last_index.min(index - 1);
        self.persisted_index = self.persisted_index.min(index - 1);
    }

    fn evict(&mut self) {
        while self.cached_bytes > self.cache_bytes_max
            && self
                .cached
                .front()
                .is_some_and(|entry| entry.index <= self.persisted_index)
        {
            let entry = self.cached.pop_front().expect("just seen");
            self.cached_bytes -= entry.data.len() as u64;
        }
    }
}

impl Storage for View {
    fn initial_state(&self) -> Result<RaftState> {
        let state = self.state.borrow();
        Ok(RaftState::new(state.hard_state.clone(), state.conf_state.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        let bytes_max = max_size.into().unwrap_or(u64::MAX);
        let state = self.state.borrow();
        if low <= state.base_index {
            return Err(Error::Store(StorageError::Compacted));
        }
        assert!(
            high <= state.last_index + 1,
            "{high} is behind the log's end {}",
            state.last_index
        );
        let cached_from = state.last_index + 1 - state.cached.len() as u64;
        if low < cached_from {
            let to = high.min(cached_from);
            drop(state);
            return Ok((self.read_log)(low, to, bytes_max.min(READ_BYTES_MAX)));
        }
        let mut bytes = 0;
        let mut entries = Vec::new();
        for index in low..high {
            let entry = &state.cached[(index - cached_from) as usize];
            bytes += entry.data.len() as u64;
            if !entries.is_empty() && bytes > bytes_max {
                break;
            }
            entries.push(entry.to_entry());
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> Result<u64> {
        self.state.borrow().term(index)
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.state.borrow().base_index + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.state.borrow().last_index)
    }

    // The sending of snapshots belongs to the cluster's part; until a snapshot is offered there is none.
    fn snapshot(&self, _request_index: u64, _to: u64) -> Result<Snapshot> {
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}
