//! Drives the RawNode of one shard and keeps every rule that needs only the core's state. Owns the RawNode, the messages
//! that wait for an fsync, and the durable (term, vote). Numbers of rules are those of docs/architecture.md.

use crate::view::{ReadLog, SharedEntry, View, ViewOptions};
use prost::Message as _;
use raft::eraftpb::{ConfChange, ConfChangeV2, ConfState, HardState, Message, MessageType};
use raft::{Config, RawNode, ReadOnlyOption, StateRole};
use std::collections::VecDeque;

/// Bytes of one append message, and how many may be under way to one follower.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
const INFLIGHT_MESSAGES_MAX: usize = 256;

pub struct Options {
    pub node_id: u64,
    pub applied_index: u64,
    pub conf_state: ConfState,
    pub hard_state: HardState,
    pub base_index: u64,
    pub base_term: u64,
    pub last_index: u64,
    pub cache_bytes_max: u64,
    pub uncommitted_bytes_max: u64,
    pub committed_bytes_max: u64,
    pub election_ticks: usize,
    pub heartbeat_ticks: usize,
    pub election_seed: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    Busy,
    NotLeader,
    Invalid,
}

/// What a turn asks its caller to do.
pub trait Sink {
    fn write(&mut self, number: u64, must_sync: bool, hard_state: Option<&HardState>, entries: Vec<SharedEntry>);
    fn message(&mut self, message: Message);
    fn committed(&mut self, entry: SharedEntry);
    fn read_state(&mut self, index: u64, context: Vec<u8>);
    fn snapshot(&mut self, snapshot: raft::eraftpb::Snapshot);
}

/// A Ready whose log record is not durable yet.
struct Unpersisted {
    number: u64,
    last_index: u64,
    hard_state: Option<(u64, u64)>,
    messages: Vec<Message>,
}

pub struct Core {
    node: RawNode<View>,
    view: View,
    id: u64,
    election_seed: u64,
    durable_term_vote: (u64, u64),
    unpersisted: VecDeque<Unpersisted>,
}

impl Core {
    pub fn open(options: Options, read_log: ReadLog) -> raft::Result<Core> {
        let hard_state = options.hard_state;
        let view = View::open(
            ViewOptions {
                hard_state: hard_state.clone(),
                conf_state: options.conf_state,
                base_index: options.base_index,
                base_term: options.base_term,
                last_index: options.last_index,
                cache_bytes_max: options.cache_bytes_max,
            },
            read_log,
        );
        let config = Config {
            id: options.node_id,
            election_tick: options.election_ticks,
            heartbeat_tick: options.heartbeat_ticks,
            applied: options.applied_index,
            max_size_per_msg: MESSAGE_BYTES_MAX,
            max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
            check_quorum: true,
            pre_vote: true,
            read_only_option: ReadOnlyOption::Safe,
            // Rule 16: on, it acknowledges entries that a follower does not have.
            batch_append: false,
            skip_bcast_commit: false,
            max_uncommitted_size: options.uncommitted_bytes_max.max(MESSAGE_BYTES_MAX),
            max_committed_size_per_ready: options.committed_bytes_max,
            ..Default::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, view.clone(), &logger)?;
        let mut core = Core {
            node,
            view,
            id: options.node_id,
            election_seed: options.election_seed,
            durable_term_vote: (hard_state.term, hard_state.vote),
            unpersisted: VecDeque::new(),
        };
        core.seed_election_timeout();
        Ok(core)
    }

    /// Ok is no commit: rule 13.
    pub fn propose(&mut self, data: Vec<u8>) -> Result<(), Refusal> {
        if !self.leads() {
            return Err(Refusal::NotLeader);
        }
        let result = self.node.propose(Vec::new(), data);
        self.seed_election_timeout();
        result.map_err(|error| match error {
            raft::Error::ProposalDropped => Refusal::Busy,
            _ => Refusal::NotLeader,
        })
    }

    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let message = Message::decode(bytes).map_err(|_| Refusal::Invalid)?;
        // Rule 10: it would campaign for entries that it may lose.
        if message.msg_type() == MessageType::MsgTimeoutNow && self.is_waiting_sole_voter() {
            return Ok(());
        }
        let result = self.node.step(message);
        self.seed_election_timeout();
        result.map_err(|_| Refusal::Invalid)
    }

    pub fn tick(&mut self) {
        // Rule 10.
        if self.is_waiting_sole_voter() {
            return;
        }
        self.node.tick();
        self.seed_election_timeout();
    }

    pub fn campaign(&mut self) {
        if self.leads() || self.is_waiting_sole_voter() {
            return;
        }
        // An error means that it may not campaign now, which the next tick finds too.
        let _ = self.node.campaign();
        self.seed_election_timeout();
    }

    /// Rule 5: in order, and only then the messages that waited.
    pub fn persisted(&mut self, number: u64, sink: &mut dyn Sink) {
        assert!(
            self.unpersisted.front().is_some_and(|first| first.number <= number),
            "Ready {number} is not waiting for its fsync"
        );
        let mut messages = Vec::new();
        while self.unpersisted.front().is_some_and(|first| first.number <= number) {
            let done = self.unpersisted.pop_front().expect("just seen");
            if let Some(term_vote) = done.hard_state {
                self.durable_term_vote = term_vote;
            }
            if done.last_index != 0 {
                self.view.persisted(done.last_index);
            }
            messages.extend(done.messages);
        }
        self.node.on_persist_ready(number);
        self.seed_election_timeout();
        for message in messages {
            sink.message(message);
        }
    }

    pub fn applied(&mut self, index: u64) {
        self.node.advance_apply_to(index);
        self.seed_election_timeout();
    }

    /// Rule 6: the new ConfState goes into the same batch as the entry's effects; then `applied`.
    pub fn apply_members(&mut self, is_v2: bool, data: &[u8]) -> Result<ConfState, Refusal> {
        let conf_state = if is_v2 {
            let change = ConfChangeV2::decode(data).map_err(|_| Refusal::Invalid)?;
            self.node.apply_conf_change(&change)
        } else {
            let change = ConfChange::decode(data).map_err(|_| Refusal::Invalid)?;
            self.node.apply_conf_change(&change)
        }
        .map_err(|_| Refusal::Invalid)?;
        self.view.set_conf_state(conf_state.clone());
        // Rule 14: a leader that applied its own removal steps down at once and never campaigns.
        let is_member = conf_state.voters.contains(&self.id) || conf_state.learners.contains(&self.id);
        if !is_member && self.leads() {
            let term = self.node.raft.term;
            self.node.raft.become_follower(term, 0);
        }
        self.seed_election_timeout();
        Ok(conf_state)
    }

    pub fn log_cut(&mut self, index: u64, term: u64) {
        assert!(
            index <= self.node.raft.raft_log.applied,
            "only what was applied may be cut: rule 9"
        );
        self.view.cut(index, term);
    }

    pub fn read_index(&mut self, context: Vec<u8>) {
        self.node.read_index(context);
        self.seed_election_timeout();
    }

    /// Rule 1: one turn.
    pub fn turn(&mut self, sink: &mut dyn Sink) -> bool {
        if !self.node.has_ready() {
            return false;
        }
        let mut ready = self.node.ready();
        let hard_state = ready.hs().cloned();
        let term_vote = hard_state.as_ref().map(|state| (state.term, state.vote));
        let current = (self.node.raft.term, self.node.raft.vote);
        let mut waiting = ready.take_persisted_messages();
        let messages = ready.take_messages();
        if current == self.durable_term_vote {
            for message in messages {
                sink.message(message);
            }
        } else {
            // Rule 2.
            waiting.extend(messages);
        }
        for state in ready.take_read_states() {
            sink.read_state(state.index, state.request_ctx);
        }
        if *ready.snapshot() != raft::eraftpb::Snapshot::default() {
            sink.snapshot(ready.snapshot().clone());
        }
        let entries = ready.take_entries();
        if let Some(state) = &hard_state {
            self.view.set_hard_state(state.clone());
        }
        let last_index = entries.last().map_or(0, |entry| entry.index);
        let entries = self.view.append(entries);
        let committed = ready.take_committed_entries();
        let number = ready.number();
        // Rules 3 and 4: whatever it holds, one record.
        sink.write(number, ready.must_sync(), hard_state.as_ref(), entries);
        self.unpersisted.push_back(Unpersisted {
            number,
            last_index,
            hard_state: term_vote,
            messages: waiting,
        });
        for entry in committed {
            sink.committed(self.view.share(entry));
        }
        self.node.advance_append_async(ready);
        self.seed_election_timeout();
        true
    }

    pub fn leads(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    pub fn leader_id(&self) -> u64 {
        self.node.raft.leader_id
    }

    pub fn term(&self) -> u64 {
        self.node.raft.term
    }

    pub fn commit(&self) -> u64 {
        self.node.raft.raft_log.committed
    }

    pub fn last_index(&self) -> u64 {
        self.node.raft.raft_log.last_index()
    }

    pub fn election_timeout(&self) -> usize {
        self.node.raft.randomized_election_timeout()
    }

    fn is_waiting_sole_voter(&self) -> bool {
        let log = &self.node.raft.raft_log;
        let conf_state = self.view.conf_state();
        conf_state.voters == [self.id]
            && conf_state.voters_outgoing.is_empty()
            && !self.leads()
            && log.persisted < log.last_index()
    }

    /// Rule 17: the core's only randomness is a function of (id, term).
    fn seed_election_timeout(&mut self) {
        let raft = &mut self.node.raft;
        // The library's own bounds, and its upper one is excluded.
        let min = raft.election_timeout();
        let max = 2 * min;
        let mut mixed = self.election_seed ^ self.id.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ raft.term;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        raft.set_randomized_election_timeout(min + (mixed % (max - min) as u64) as usize);
    }
}
