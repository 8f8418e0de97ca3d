//! The C face of `core.rs`: pointers and callbacks become values and back. Owns nothing; a core belongs to the caller
//! between capstanCoreOpen and capstanCoreClose. Called by native/raft through consensus.h.

use crate::core::{Core, Options, Refusal, Sink};
use crate::view::SharedEntry;
use prost::Message as _;
use raft::eraftpb::{ConfState, Entry, EntryType, HardState, Message, Snapshot};
use std::ffi::c_void;
use std::os::raw::c_int;
use std::sync::Arc;

pub struct CapstanOwnedBytes(#[allow(dead_code)] Arc<Vec<u8>>);

#[repr(C)]
pub struct CapstanCoreEntry {
    index: u64,
    term: u64,
    kind: u32,
    data: *const u8,
    bytes: usize,
    owner: *mut CapstanOwnedBytes,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct CapstanCoreHardState {
    term: u64,
    vote: u64,
    commit: u64,
}

type Take = extern "C" fn(*mut c_void, *const CapstanCoreEntry);

#[repr(C)]
pub struct CapstanCoreOptions {
    node_id: u64,
    applied_index: u64,
    conf_state: *const u8,
    conf_state_bytes: usize,
    hard_state: CapstanCoreHardState,
    base_index: u64,
    base_term: u64,
    cache_bytes_max: u64,
    uncommitted_bytes_max: u64,
    committed_bytes_max: u64,
    election_ticks: u32,
    heartbeat_ticks: u32,
    election_seed: u64,
    context: *mut c_void,
    read_log: extern "C" fn(*mut c_void, u64, u64, u64, *mut c_void, Take),
}

#[repr(C)]
pub struct CapstanCoreSink {
    context: *mut c_void,
    write: extern "C" fn(*mut c_void, u64, c_int, *const CapstanCoreHardState, *const CapstanCoreEntry, usize),
    message: extern "C" fn(*mut c_void, u64, *const u8, usize),
    committed: extern "C" fn(*mut c_void, *const CapstanCoreEntry),
    read_state: extern "C" fn(*mut c_void, u64, *const u8, usize),
    snapshot: extern "C" fn(*mut c_void, u64, u64, *const u8, usize, *const u8, usize),
}

#[repr(C)]
pub struct CapstanCoreStatus {
    leads: c_int,
    leader_id: u64,
    term: u64,
    commit: u64,
    last_index: u64,
}

const OK: c_int = 0;
const BUSY: c_int = 1;
const NOT_LEADER: c_int = 2;
const INVALID: c_int = 3;

fn code<T>(result: Result<T, Refusal>) -> c_int {
    match result {
        Ok(_) => OK,
        Err(Refusal::Busy) => BUSY,
        Err(Refusal::NotLeader) => NOT_LEADER,
        Err(Refusal::Invalid) => INVALID,
    }
}

/// # Safety
/// `data` holds `bytes` bytes, or `bytes` is 0.
unsafe fn slice<'a>(data: *const u8, bytes: usize) -> &'a [u8] {
    if bytes == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, bytes)
    }
}

fn handed_over(entry: SharedEntry) -> CapstanCoreEntry {
    let (index, term, kind) = (entry.index, entry.term, entry.kind);
    let owner = Box::new(CapstanOwnedBytes(entry.data));
    CapstanCoreEntry {
        index,
        term,
        kind: kind as u32,
        data: owner.0.as_ptr(),
        bytes: owner.0.len(),
        owner: Box::into_raw(owner),
    }
}

impl Sink for &CapstanCoreSink {
    fn write(&mut self, number: u64, must_sync: bool, hard_state: Option<&HardState>, entries: Vec<SharedEntry>) {
        let entries: Vec<CapstanCoreEntry> = entries.into_iter().map(handed_over).collect();
        let state = hard_state.map(|state| CapstanCoreHardState {
            term: state.term,
            vote: state.vote,
            commit: state.commit,
        });
        let state = state.as_ref().map_or(std::ptr::null(), |state| state as *const _);
        (self.write)(
            self.context,
            number,
            must_sync.into(),
            state,
            entries.as_ptr(),
            entries.len(),
        );
    }

    fn message(&mut self, message: Message) {
        let bytes = message.encode_to_vec();
        (self.message)(self.context, message.to, bytes.as_ptr(), bytes.len());
    }

    fn committed(&mut self, entry: SharedEntry) {
        let entry = handed_over(entry);
        (self.committed)(self.context, &entry);
    }

    fn read_state(&mut self, index: u64, context: Vec<u8>) {
        (self.read_state)(self.context, index, context.as_ptr(), context.len());
    }

    fn snapshot(&mut self, snapshot: Snapshot) {
        let metadata = snapshot.metadata.unwrap_or_default();
        let conf_state = metadata.conf_state.unwrap_or_default().encode_to_vec();
        (self.snapshot)(
            self.context,
            metadata.index,
            metadata.term,
            conf_state.as_ptr(),
            conf_state.len(),
            snapshot.data.as_ptr(),
            snapshot.data.len(),
        );
    }
}

extern "C" fn take_entry(into: *mut c_void, entry: *const CapstanCoreEntry) {
    // Safety: `into` is the vector that the reader below passed on, and `entry` is valid during the call.
    let (entries, entry) = unsafe { (&mut *into.cast::<Vec<Entry>>(), &*entry) };
    entries.push(Entry {
        entry_type: entry.kind as i32,
        term: entry.term,
        index: entry.index,
        data: unsafe { slice(entry.data, entry.bytes) }.to_vec(),
        ..Default::default()
    });
}

/// # Safety
/// `options` is valid; its context outlives the core.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreOpen(options: *const CapstanCoreOptions, last_index: u64) -> *mut Core {
    let options = &*options;
    let conf_state = slice(options.conf_state, options.conf_state_bytes);
    let Ok(conf_state) = ConfState::decode(conf_state) else {
        return std::ptr::null_mut();
    };
    let (context, read_log) = (options.context, options.read_log);
    let reader = Box::new(move |from, to, bytes_max| {
        let mut entries: Vec<Entry> = Vec::new();
        read_log(
            context,
            from,
            to,
            bytes_max,
            (&mut entries as *mut Vec<Entry>).cast(),
            take_entry,
        );
        assert!(
            entries.first().is_some_and(|entry| entry.index == from),
            "the log did not give entry {from}"
        );
        entries
    });
    let opened = Core::open(
        Options {
            node_id: options.node_id,
            applied_index: options.applied_index,
            conf_state,
            hard_state: HardState {
                term: options.hard_state.term,
                vote: options.hard_state.vote,
                commit: options.hard_state.commit,
            },
            base_index: options.base_index,
            base_term: options.base_term,
            last_index,
            cache_bytes_max: options.cache_bytes_max,
            uncommitted_bytes_max: options.uncommitted_bytes_max,
            committed_bytes_max: options.committed_bytes_max,
            election_ticks: options.election_ticks as usize,
            heartbeat_ticks: options.heartbeat_ticks as usize,
            election_seed: options.election_seed,
        },
        reader,
    );
    match opened {
        Ok(core) => Box::into_raw(Box::new(core)),
        Err(_) => std::ptr::null_mut(),
    }
}

/// # Safety
/// `core` came from capstanCoreOpen and is not used again.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreClose(core: *mut Core) {
    drop(Box::from_raw(core));
}

/// # Safety
/// `bytes` was handed over by a callback and is not used again.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreFreeBytes(bytes: *mut CapstanOwnedBytes) {
    drop(Box::from_raw(bytes));
}

/// # Safety
/// `voters` holds `count` numbers, `into` room for `into_bytes`.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreConfState(
    voters: *const u64,
    count: usize,
    into: *mut u8,
    into_bytes: usize,
) -> usize {
    let voters = std::slice::from_raw_parts(voters, count).to_vec();
    let bytes = ConfState {
        voters,
        ..Default::default()
    }
    .encode_to_vec();
    assert!(
        bytes.len() <= into_bytes,
        "{} bytes do not fit {into_bytes}",
        bytes.len()
    );
    std::ptr::copy_nonoverlapping(bytes.as_ptr(), into, bytes.len());
    bytes.len()
}

/// # Safety
/// `core` is open; `data` holds `bytes` bytes.
#[no_mangle]
pub unsafe extern "C" fn capstanCorePropose(core: *mut Core, data: *const u8, bytes: usize) -> c_int {
    code((*core).propose(slice(data, bytes).to_vec()))
}

/// # Safety
/// `core` is open; `message` holds `bytes` bytes.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreReceive(core: *mut Core, message: *const u8, bytes: usize) -> c_int {
    code((*core).receive(slice(message, bytes)))
}

/// # Safety
/// `core` is open.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreTick(core: *mut Core) {
    (*core).tick();
}

/// # Safety
/// `core` is open.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreCampaign(core: *mut Core) {
    (*core).campaign();
}

/// # Safety
/// `core` is open, `sink` valid.
#[no_mangle]
pub unsafe extern "C" fn capstanCorePersisted(core: *mut Core, number: u64, sink: *const CapstanCoreSink) {
    (*core).persisted(number, &mut &*sink);
}

/// # Safety
/// `core` is open.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreApplied(core: *mut Core, index: u64) {
    (*core).applied(index);
}

/// # Safety
/// `core` is open; `data` holds `bytes` bytes.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreApplyMembers(
    core: *mut Core,
    kind: u32,
    data: *const u8,
    bytes: usize,
    context: *mut c_void,
    done: extern "C" fn(*mut c_void, *const u8, usize),
) -> c_int {
    let is_v2 = kind == EntryType::EntryConfChangeV2 as u32;
    let result = (*core).apply_members(is_v2, slice(data, bytes));
    if let Ok(conf_state) = &result {
        let encoded = conf_state.encode_to_vec();
        done(context, encoded.as_ptr(), encoded.len());
    }
    code(result)
}

/// # Safety
/// `core` is open.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreLogCut(core: *mut Core, index: u64, term: u64) {
    (*core).log_cut(index, term);
}

/// # Safety
/// `core` is open; `data` holds `bytes` bytes.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreReadIndex(core: *mut Core, data: *const u8, bytes: usize) {
    (*core).read_index(slice(data, bytes).to_vec());
}

/// # Safety
/// `core` is open, `sink` valid.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreTurn(core: *mut Core, sink: *const CapstanCoreSink) -> c_int {
    (*core).turn(&mut &*sink).into()
}

/// # Safety
/// `core` is open, `status` valid.
#[no_mangle]
pub unsafe extern "C" fn capstanCoreStatus(core: *const Core, status: *mut CapstanCoreStatus) {
    let core = &*core;
    *status = CapstanCoreStatus {
        leads: core.leads().into(),
        leader_id: core.leader_id(),
        term: core.term(),
        commit: core.commit(),
        last_index: core.last_index(),
    };
}
