// The planted faults of the C++ below the boundary: durability, consensus' driver, the state machine, waiting fetches,
// and what comes from the network. Owns the texts only. Read by scripts/mutants.mjs, which says what the fields mean.

const log = [
  {
    name: "fsync skipped",
    file: "native/log/segmented_log.cc",
    find: `    if (Result<void> synced = segment.file->sync(); !synced) return synced;
  }
  segment.syncedBytes = segment.writtenBytes;`,
    replace: `  }
  segment.syncedBytes = segment.writtenBytes;`,
    test: "gtest:EngineDurability.whatIsReportedSurvivesAPowerCut",
  },
  {
    name: "answer before fsync",
    file: "native/engine/log_step.cc",
    find: "  if (mustSync) {\n",
    replace: `  if (writtenNumber != reportedNumber) sink.persisted({writtenNumber});
  reportedNumber = writtenNumber;
  if (mustSync) {
`,
    test: "gtest:EngineDurability.whatIsReportedSurvivesAPowerCut",
  },
  {
    name: "name of a new segment not synced",
    file: "native/log/segmented_log.cc",
    find: `    if (Result<void> synced = segment->file->sync(); !synced) return synced;
    if (Result<void> synced = files.syncDirectory(options.directory); !synced) return synced;`,
    replace: "    if (Result<void> synced = segment->file->sync(); !synced) return synced;",
    test: "gtest:EngineDurability.whatIsReportedSurvivesAPowerCut",
  },
  {
    name: "failed fsync tried again",
    file: "native/engine/log_step.cc",
    find: "    CAPSTAN_OS_CHECK(synced.ok(), synced.error().message);",
    replace: "    if (!synced) CAPSTAN_OS_CHECK(log->sync().ok());",
    test: "gtest:EngineDurabilityDeathTest.aFailedSyncEndsTheProcessAndIsNotTriedAgain",
  },
  {
    name: "record split in two",
    file: "native/engine/log_step.cc",
    find: "  const Result<void> appended = log->append(hardState, entries);",
    replace: `  if (hardState && !entries.empty()) {
    const Result<void> first = log->append(hardState, {});
    CAPSTAN_OS_CHECK(first.ok(), first.error().message);
    hardState.reset();
  }
  const Result<void> appended = log->append(hardState, entries);`,
    test: "gtest:EngineDurability.aReadyIsThereWholeOrNotAtAll",
  },
  {
    name: "truncation skipped",
    file: "native/log/segmented_log.cc",
    find: "    truncateFrom(entries.front().index);\n",
    replace: "",
    test: "gtest:LogTest.AnEntryAtOrBelowTheLastIndexTruncatesFirst",
  },
  {
    name: "truncation skipped when a log is read again",
    file: "native/log/segmented_log.cc",
    find: "      truncateFrom(first);\n",
    replace: "",
    test: "gtest:LogTest.AnEntryAtOrBelowTheLastIndexTruncatesFirst",
  },
  {
    name: "torn tail left where it is",
    file: "native/log/segmented_log.cc",
    find: "  if (Result<void> cut = segment.file->truncate(offset); !cut) return cut;\n",
    replace: "",
    test: "gtest:LogTest.CutsATailTornAtAnyByteAndNothingBefore",
  },
  {
    name: "damage taken for a torn tail",
    file: "native/log/segmented_log.cc",
    find: "head) && head.syncedBytes > offset) {",
    replace: "head) && head.syncedBytes > offset + recordBytesMax) {",
    test: "gtest:LogTest.RefusesAFlippedByteAnywhereInWhatLaterRecordsCallSynced",
  },
];

const consensus = [
  {
    name: "hard state that only commits is dropped (rule 3)",
    file: "native/engine/log_step.cc",
    find: "  if (!write.hardState && write.entries.empty()) return;",
    replace: "  if (write.entries.empty()) return;",
    test: "gtest:EngineLogStep.writesACommitWithoutWaitingForIt",
  },
  {
    name: "entries applied before a change of members took effect (rule 6)",
    file: "native/engine/apply_step.cc",
    find: `  if (isHolding) {
    held.push_back(std::move(work));`,
    replace: `  if (isHolding && work.entry.index == 0) {
    held.push_back(std::move(work));`,
    test: "gtest:EngineApplyStep.holdsWhatFollowsAChangeOfMembers",
  },
  {
    name: "log cut beyond the durable state (rule 9)",
    file: "native/engine/apply_step.cc",
    find: "std::min(machine.durableIndex(), reportedIndex)",
    replace: "reportedIndex",
    test: "gtest:EngineApplyStep.cutsAtMostWhatIsDurableAndReported",
  },
  {
    name: "commit not raised to the applied index (rule 11)",
    file: "native/raft/driver.cc",
    find: "std::max(options.hardState.commit, options.appliedIndex)}",
    replace: "options.hardState.commit}",
    test: "gtest:RaftDriver.takesWhatTheStateAppliedForCommitted",
  },
  {
    name: "commit beyond the log's end let pass (rule 11)",
    file: "native/raft/driver.cc",
    find: "  if (options.appliedIndex > options.lastIndex || options.hardState.commit > options.lastIndex) {",
    replace: "  if (options.appliedIndex > options.lastIndex) {",
    test: "gtest:RaftDriver.refusesALogThatDoesNotFitTheState",
  },
  {
    name: "proposes before its own first entry is applied (rule 13)",
    file: "native/engine/raft_step.cc",
    find: "    if (toldLeads) {\n",
    replace: "    if (leads) {\n",
    test: "gtest:EngineRaftStep.refusesWhatItCannotProposeYet",
  },
  {
    name: "another leader's entry taken for the answer (rule 13)",
    file: "native/engine/raft_step.cc",
    find: "    if (front.index == entry.index && front.term == entry.term) {",
    replace: "    if (front.index == entry.index) {",
    test: "gtest:EngineRaftStep.anotherLeadersEntryAtTheSameIndexIsNotTheAnswer",
  },
  {
    name: "committed entries handed over without a bound (rule 6)",
    file: "native/engine/raft_step.cc",
    find: "  if (applyingBytes >= options.applyingBytesMax) return;\n",
    replace: "",
    test: "gtest:EngineRaftStep.asksTheCoreForNoMoreWhileTooMuchIsBeingApplied",
  },
  {
    name: "stopwatch that follows the wall clock",
    file: "native/engine/raft_step.cc",
    find: "return elapsedBaseMs + (clock.bootMs() - bootBaseMs); }",
    replace: "return elapsedBaseMs + static_cast<uint64_t>(clock.wallMs()) % 100'000; }",
    test: "gtest:EngineRaftStep.stampsContinueFromTheStateAndNeverGoBack",
  },
  {
    name: "nothing proposed when something is due",
    file: "native/engine/raft_step.cc",
    find: "  return due.now || elapsedNow() >= due.elapsedMs || clock.wallMs() >= due.wallMs;",
    replace: "  return due.now || clock.wallMs() >= due.wallMs;",
    test: "gtest:EngineRaftStep.proposesOneTickWhenSomethingIsDue",
  },
];

const state = [
  {
    name: "appliedIndex skip removed",
    file: "native/fsm/state_machine.cc",
    find: `    if (index <= state.meta.index) return {};
    CAPSTAN_ASSERT(state.founded && index == state.meta.index + 1, index, state.meta.index);
    Result<codec::OpenEntry>`,
    replace: "    Result<codec::OpenEntry>",
    test: "gtest:FsmReplay.entriesThatWereAppliedAreSkipped",
  },
  {
    name: "entry of a later version applied",
    file: "native/codec/entry.cc",
    find: "  if (header.version == 0 || header.version > schema::ENTRY_VERSION) {",
    replace: "  if (header.version == 0) {",
    test: "gtest:FsmReplay.anEntryOfALaterVersionIsRefusedUnapplied",
  },
  {
    name: "token comparison removed",
    file: "native/fsm/leases.cc",
    find: "|| found->second.lease != &lease) return std::nullopt;",
    replace: ") return std::nullopt;",
    test: "gtest:FsmLease.settlesNothingOfAnotherOne",
  },
  {
    name: "lease deadline ignored until swept",
    file: "native/fsm/leases.cc",
    find: "lease->open == 0 || lease->row.deadlineMs <= change.nowMs()) return nullptr;",
    replace: "lease->open == 0) return nullptr;",
    test: "gtest:FsmLease.isOverFromItsDeadlineOnThoughNothingSweptIt",
  },
  {
    name: "cursor saved at the cache's end",
    file: "native/fsm/lanes.cc",
    find: "  lane.cursor = after(job.id);",
    replace: "  lane.cursor = after(window.jobs.empty() ? job.id : window.jobs.back().id);",
    test: "gtest:Seeds/FsmDeterminism.windowOfOneGivesTheSameState/*",
  },
  {
    name: "refill that sees what the entry leased",
    file: "native/fsm/op_fetch.cc",
    find: "  change.state.leasedJobs.emplace(job.id, LeasePlace{});\n",
    replace: "",
    test: "gtest:Seeds/FsmDeterminism.windowOfOneGivesTheSameState/*",
  },
  {
    name: "flush of one family",
    file: "native/storage/database.cc",
    find: "(handles.begin(), handles.end()));",
    replace: "(handles.begin(), handles.begin() + 1));",
    test: "gtest:StorageDatabase.aFlushKeepsAllFamiliesAtOnce",
  },
  {
    name: "Delete instead of SingleDelete",
    file: "native/fsm/transaction.cc",
    find: "  return family == Family::jobs || family == Family::scheduled ||",
    replace: "  return family == Family::scheduled ||",
    test: "gtest:FsmLayout.whatIsAckedBeforeTheFlushLeavesNothingOnDisk",
  },
  {
    name: "first job of a fetch held to the byte limit",
    file: "native/fsm/op_fetch.cc",
    find: "  if (!hand.items.empty() && hand.bytes + first.payloadBytes > hand.bytesMax) return false;",
    replace: "  if (hand.bytes + first.payloadBytes > hand.bytesMax) return false;",
    test: "gtest:FsmFetch.bytesMaxStopsButTheFirstJobIsAlwaysGranted",
  },
  {
    name: "result of a request not kept",
    file: "native/fsm/commands.cc",
    find: "  running.remembering.push_back(at);\n",
    replace: "",
    test: "gtest:FsmSession.aRetryHasTheSameResultThroughARestart",
  },
  {
    name: "extended deadline not stored",
    file: "native/fsm/leases.cc",
    find: "  lease.marksTouched = true;\n",
    replace: "",
    test: "gtest:FsmLease.anExtendedDeadlineSurvivesARestart",
  },
];

const waiting = [
  {
    name: "reply slot dropped",
    file: "native/engine/raft_step.cc",
    find: "      reply = std::move(front.reply);",
    replace: "      reply = {};",
    test: "gtest:EngineRaftStep.answersUnknownWhenLeadershipIsLost",
  },
  {
    name: "wake-up lost between looking and sleeping",
    file: "native/engine/parked.cc",
    find: "    if (sequenceOf(queue) > request.emptyAtIndex) return uint64_t{0};\n",
    replace: "    if (sequenceOf(queue) == UINT64_MAX) return uint64_t{0};\n",
    test: "gtest:EngineParked.doesNotSleepThroughWhatCameMeanwhile",
  },
  {
    name: "wake that its caller cannot use not passed on",
    file: "native/engine/parked.cc",
    find: "  if (queue != 0) wakeFor(queue, wakes);\n",
    replace: "  if (queue == 0) wakeFor(queue, wakes);\n",
    test: "gtest:EngineParked.aWakeThatItsCallerCannotUseIsPassedOn",
  },
  {
    name: "more callers woken than can be served",
    file: "native/engine/parked.cc",
    find: "    if (state.waiting.empty() || state.awake >= state.grantable) return dropIfIdle(queue);",
    replace: "    if (state.waiting.empty()) return dropIfIdle(queue);",
    test: "gtest:EngineParked.wakesAsManyAsCanBeServedTheOldestFirst",
  },
];

const network = [
  {
    name: "bound of a frame not looked at",
    file: "native/rpc/frames.cc",
    find: "  if (total > frameBytesMax) {",
    replace: "  if (total > frameBytesMax * 64) {",
    test: "gtest:RpcConnection.refusesAFrameThatClaimsTooMuchBeforeItComes",
  },
  {
    name: "call that its client gave up carried on",
    file: "native/rpc/connection.cc",
    find: "  owner.canceled(std::exchange(entry.call, 0));",
    replace: "  entry.call = 0;",
    test: "corpus:Targets/FuzzCorpus.HoldsItsPropertiesOnEveryInput/connection",
  },
  {
    name: "list that claims more than there is let pass",
    file: "native/codec/request.cc",
    find: "    if (Result<void> whole = checkWhole(body, message->wordCount); !whole) return whole.takeError();\n",
    replace: "    if (body.isCapability()) return checkWhole(body, message->wordCount).takeError();\n",
    test: "gtest:CodecFrame.*",
  },
  {
    name: "exception of hostile pointers in an entry not caught",
    file: "native/codec/entry.cc",
    find: "    return noEntry(exception.getDescription().cStr());",
    replace: "    throw;",
    test: "corpus:Targets/FuzzCorpus.HoldsThemOnInputsCutShortAndWithChangedBytes/entry",
  },
];

export const faults = [...log, ...consensus, ...state, ...waiting, ...network];
