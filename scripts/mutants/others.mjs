// The planted faults of the TypeScript above the boundary and of the Rust core. Owns the texts only. Read by
// scripts/mutants.mjs, which says what the fields mean.

const fetches = [
  {
    name: "reply reservation not given back",
    find: `    this.proposedCount--;
    this.budget.give(fetch.replyBytes);
    if (this.native.park`,
    replace: `    this.proposedCount--;
    if (this.native.park`,
    test: "park when they come out empty, holding no reply, and go again when woken",
  },
  {
    name: "deadline ignored",
    find: "      if (fetch.dueMs !== Number.POSITIVE_INFINITY) this.deadlines.add(fetch);\n",
    replace: "",
    test: "end at their own deadline, to the millisecond",
  },
  {
    name: "graceful stop answers nothing",
    find: `      if (fetch.state === State.pending) {
        this.native.answer(this.worker, fetch.handle, ErrorCode.shuttingDown, retryAfterStopMs);
      }
`,
    replace: "",
    test: "end with shuttingDown at a stop: pending and parked at once, proposed ones when they come out empty",
  },
  {
    name: "wake forgotten",
    find: `    this.pending.push(fetch);
  }

  /** The addon gave the call up`,
    replace: `  }

  /** The addon gave the call up`,
    test: "park when they come out empty, holding no reply, and go again when woken",
  },
  {
    name: "wake that crosses a deadline lost",
    find: "      if (!this.native.expire(this.worker, fetch.handle)) continue;",
    replace: "      this.native.expire(this.worker, fetch.handle);",
    test: "whose wake crosses their deadline get one more chance",
  },
  {
    name: "fetches held without a bound",
    find: "    if (this.byHandle.size >= this.options.fetchesMax || this.pendingCount >= this.options.fetchesMax) {",
    replace: "    if (this.byHandle.size < 0) {",
    test: "beyond the limit are busy, and those given up while pending count until they are passed over",
  },
].map((fault) => ({ ...fault, file: "src/server/fetches.ts", test: `unit:fetches:${fault.test}` }));

const server = [
  {
    name: "more entries under way than inflightMax",
    file: "src/server/apply_loop.ts",
    find: "    while (this.underWay.length < this.options.inflightMax && this.waiting > 0) {",
    replace: "    while (this.waiting > 0) {",
    test: "unit:apply_loop:proposes at once when idle and gathers while inflightMax entries are under way",
  },
  {
    name: "call of a refused entry left without an answer",
    file: "src/server/apply_loop.ts",
    find: "    for (let index = 0; index < writeCount; index++) {\n      native.answer",
    replace: "    for (let index = 1; index < writeCount; index++) {\n      native.answer",
    test: "unit:apply_loop:answers every call of a refused entry with its code and a hint",
  },
  {
    name: "entry larger than its bound",
    file: "src/server/apply_loop.ts",
    find: "(bytes > this.options.entryBytesMax || jobs > jobsMax)",
    replace: "jobs > jobsMax",
    test: "unit:apply_loop:bounds an entry in bytes, commands and jobs, yet a larger command goes alone",
  },
  {
    name: "call taken although memory is short",
    file: "src/server/router.ts",
    find: "      if (!budget.tryTake(reserved)) {",
    replace: "      if (!budget.tryTake(reserved) && reserved < 0) {",
    test: "unit:router:answers busy with a hint when memory is short, and counts what the answer gives back",
  },
  {
    name: "call taken after the stop",
    file: "src/server/router.ts",
    find: "const refusal = this.stopping ? ErrorCode.shuttingDown : caller",
    replace: "const refusal = caller",
    test: "unit:router:refuses everything that comes after the stop",
  },
  {
    name: "memory of one worker not counted for the others",
    file: "src/server/memory_budget.ts",
    find: "    const granted = Atomics.add(this.shared, grantedWord, more) + more;",
    replace: "    const granted = this.grains + more;",
    test: "unit:memory_budget:is one for all workers",
  },
];

const core = [
  {
    name: "messages of a new term leave before its fsync (rule 2)",
    find: "        if current == self.durable_term_vote {",
    replace: "        if true || current == self.durable_term_vote {",
    test: "messages_of_a_new_term_wait_for_its_fsync",
  },
  {
    name: "fsync reported twice (rule 5)",
    find: `            self.unpersisted.front().is_some_and(|first| first.number <= number),
            "Ready`,
    replace: `            true,
            "Ready`,
    test: "an_fsync_is_reported_once",
  },
  {
    name: "uncommitted entries without a bound (rule 16)",
    find: "options.uncommitted_bytes_max.max(MESSAGE_BYTES_MAX)",
    replace: "u64::MAX",
    test: "too_much_uncommitted_is_busy",
  },
  {
    name: "election timeout at random (rule 17)",
    find: "        core.seed_election_timeout();\n        Ok(core)",
    replace: "        Ok(core)",
    test: "election_timeouts_are_a_function_of_node_and_term",
  },
  {
    name: "follower that takes a proposal (rule 13)",
    find: "            return Err(Refusal::NotLeader);\n        }\n        let result = self.node.propose",
    replace: "        }\n        let result = self.node.propose",
    test: "a_follower_refuses_proposals",
  },
].map((fault) => ({ ...fault, file: "native/consensus/src/core.rs", test: `cargo:${fault.test}` }));

export const faults = [...fetches, ...server, ...core];
