//! One voter: it leads at once, nothing is committed before its record is durable, its messages wait, and a restart
//! continues. Owns no rule: they are those of `core.rs`.

use capstan_consensus::core::{Core, Options, Refusal, Sink};
use capstan_consensus::view::SharedEntry;
use raft::eraftpb::{ConfState, Entry, HardState, Message, Snapshot};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

#[derive(Default)]
struct Effects {
    writes: Vec<(u64, bool, Option<HardState>, Vec<SharedEntry>)>,
    messages: Vec<Message>,
    committed: Vec<SharedEntry>,
}

impl Sink for Effects {
    fn write(&mut self, number: u64, sync: bool, state: Option<&HardState>, entries: Vec<SharedEntry>) {
        self.writes.push((number, sync, state.cloned(), entries));
    }
    fn message(&mut self, message: Message) {
        self.messages.push(message);
    }
    fn committed(&mut self, entry: SharedEntry) {
        self.committed.push(entry);
    }
    fn read_state(&mut self, _index: u64, _context: Vec<u8>) {}
    fn snapshot(&mut self, _snapshot: Snapshot) {
        panic!("no snapshot was sent");
    }
}

type Log = Rc<RefCell<Vec<Entry>>>;

fn open(log: &Log, state: HardState, applied: u64, learners: Vec<u64>, cache: u64) -> Core {
    let reading = log.clone();
    let last = 1 + log.borrow().len() as u64;
    Core::open(
        Options {
            node_id: 1,
            applied_index: applied,
            conf_state: ConfState {
                voters: vec![1],
                learners,
                ..Default::default()
            },
            hard_state: state,
            base_index: 1,
            base_term: 1,
            last_index: last,
            cache_bytes_max: cache,
            uncommitted_bytes_max: 4 << 20,
            committed_bytes_max: 1 << 20,
            election_ticks: 10,
            heartbeat_ticks: 2,
            election_seed: 7,
        },
        Box::new(move |from, to, _| reading.borrow()[(from - 2) as usize..(to - 2) as usize].to_vec()),
    )
    .expect("opens")
}

fn founded() -> HardState {
    HardState {
        term: 1,
        vote: 0,
        commit: 1,
    }
}

fn run(core: &mut Core, log: &Log) -> Effects {
    let mut effects = Effects::default();
    loop {
        let mut turned = false;
        while core.turn(&mut effects) {
            turned = true;
        }
        let written = std::mem::take(&mut effects.writes);
        for (number, _, _, entries) in written {
            log.borrow_mut().extend(entries.iter().map(SharedEntry::to_entry));
            core.persisted(number, &mut effects);
        }
        if let Some(last) = effects.committed.last() {
            core.applied(last.index);
        }
        if !turned {
            return effects;
        }
    }
}

#[test]
fn it_leads_at_once_and_commits_what_is_durable() {
    let log = Log::default();
    let mut core = open(&log, founded(), 1, vec![], 1 << 20);
    core.campaign();
    run(&mut core, &log);
    assert!(core.leads());
    core.propose(b"one".to_vec()).unwrap();
    let mut effects = Effects::default();
    while core.turn(&mut effects) {}
    assert!(effects.committed.is_empty(), "nothing is committed before its fsync");
    let number = effects.writes.last().unwrap().0;
    core.persisted(number, &mut effects);
    while core.turn(&mut effects) {}
    assert_eq!(effects.committed.last().unwrap().data.as_slice(), b"one");
}

#[test]
fn the_bytes_of_an_entry_are_in_memory_once() {
    let log = Log::default();
    let mut core = open(&log, founded(), 1, vec![], 1 << 20);
    core.campaign();
    run(&mut core, &log);
    core.propose(vec![7; 1000]).unwrap();
    let mut effects = Effects::default();
    while core.turn(&mut effects) {}
    let (number, _, _, written) = effects.writes.pop().unwrap();
    core.persisted(number, &mut effects);
    while core.turn(&mut effects) {}
    let committed = effects.committed.pop().unwrap();
    assert!(Arc::ptr_eq(&written[0].data, &committed.data));
    // Held by who writes, by who applies, and by the cache: no copy of the library is left.
    assert_eq!(Arc::strong_count(&committed.data), 3);
}

#[test]
fn a_follower_refuses_proposals() {
    let log = Log::default();
    let mut core = open(&log, founded(), 1, vec![], 1 << 20);
    assert_eq!(core.propose(b"x".to_vec()), Err(Refusal::NotLeader));
}

#[test]
fn messages_of_a_new_term_wait_for_its_fsync() {
    let log = Log::default();
    let mut core = open(&log, founded(), 1, vec![2], 1 << 20);
    core.campaign();
    let mut effects = Effects::default();
    while core.turn(&mut effects) {}
    assert!(core.leads(), "a sole voter needs no other's vote");
    assert!(effects.messages.is_empty(), "its term is not durable yet");
    let number = effects.writes.last().unwrap().0;
    core.persisted(number, &mut effects);
    assert!(!effects.messages.is_empty(), "the learner hears of it now");
}

#[test]
#[should_panic(expected = "not waiting")]
fn an_fsync_is_reported_once() {
    let log = Log::default();
    let mut core = open(&log, founded(), 1, vec![], 1 << 20);
    core.campaign();
    let mut effects = Effects::default();
    while core.turn(&mut effects) {}
    let number = effects.writes.last().unwrap().0;
    core.persisted(number, &mut effects);
    core.persisted(number, &mut effects);
}

#[test]
fn too_much_uncommitted_is_busy() {
    let log = Log::default();
    let mut core = open(&log, founded(), 1, vec![], 1 << 20);
    core.campaign();
    run(&mut core, &log);
    let mut taken = 0;
    let refusal = loop {
        match core.propose(vec![0; 1 << 20]) {
            Ok(()) => taken += 1,
            Err(refusal) => break refusal,
        }
        assert!(taken < 100, "the limit never comes");
    };
    assert_eq!(refusal, Refusal::Busy);
    run(&mut core, &log);
    assert_eq!(core.propose(b"again".to_vec()), Ok(()));
}

#[test]
fn a_restart_reads_its_log_back_through_a_small_cache() {
    let log = Log::default();
    let mut core = open(&log, founded(), 1, vec![], 1 << 20);
    core.campaign();
    run(&mut core, &log);
    for number in 0..100u32 {
        core.propose(number.to_le_bytes().repeat(100)).unwrap();
        run(&mut core, &log);
    }
    let state = HardState {
        term: core.term(),
        vote: 1,
        commit: core.commit(),
    };
    drop(core);
    let mut core = open(&log, state.clone(), 1, vec![], 1000);
    let effects = run(&mut core, &log);
    let payloads: Vec<_> = effects
        .committed
        .iter()
        .filter(|entry| !entry.data.is_empty())
        .collect();
    assert_eq!(
        payloads.len(),
        100,
        "what was committed is given again after the applied index"
    );
    assert_eq!(*payloads[42].data, 42u32.to_le_bytes().repeat(100));
    core.campaign();
    run(&mut core, &log);
    assert!(core.leads() && core.term() > state.term);
    core.log_cut(50, log.borrow()[48].term);
    core.propose(b"after the cut".to_vec()).unwrap();
    assert_eq!(
        run(&mut core, &log).committed.last().unwrap().data.as_slice(),
        b"after the cut"
    );
}

#[test]
fn election_timeouts_are_a_function_of_node_and_term() {
    let log = Log::default();
    let first = open(&log, founded(), 1, vec![], 1 << 20).election_timeout();
    for _ in 0..30 {
        let again = open(&log, founded(), 1, vec![], 1 << 20).election_timeout();
        assert_eq!(first, again);
    }
    assert!((10..20).contains(&first));
}

#[test]
fn garbage_of_a_peer_is_refused() {
    let log = Log::default();
    let mut core = open(&log, founded(), 1, vec![], 1 << 20);
    assert_eq!(core.receive(&[0xff; 40]), Err(Refusal::Invalid));
}
