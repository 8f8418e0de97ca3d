# Log entries and stored rows. Append only: every entry and row ever written stays readable.
#
# An entry in the Raft log is a fixed header of 48 bytes, little-endian, and then (unless `commands` is 0) one framed
# message with `Entry` as its root, so that the leader can stamp an entry without touching the message:
#
#    0  u16  version      of the whole entry; a larger one than a node understands stops the node
#    2  u16  flags        0
#    4  u32  commands     how many the message holds
#    8  u64  elapsedMs    the cluster's stopwatch, set by the leader's raft thread
#   16  i64  wallMs       the leader's wall clock, Unix milliseconds
#   24  16 B seed         the only source of randomness while applying
#   40  u64  reserved     0
@0xfb760473097f422f;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("capstan::schema");
using Api = import "capstan.capnp";

const entryVersion :UInt16 = 1;
const entryHeaderBytes :UInt32 = 48;

struct Entry {
  commands @0 :List(Command);
  queueDefaults @1 :Api.QueueSettings; # for a queue that this entry makes
  limits @2 :StateLimits;
}

struct StateLimits {
  # What limits the state travels with the entry, so that no node's own setting can make two nodes differ.
  queuesMax @0 :UInt32;
  lanesMax @1 :UInt32;
  groupsMax @2 :UInt32;
  sessionsMax @3 :UInt32;
  leasedJobsMax @4 :UInt32;
  sessionResultsMax @5 :UInt32;
  sessionResultBytesMax @6 :UInt32;
  idempotencyKeepMs @7 :UInt64;
}

struct Command {
  # One client request. Defaults are filled in and bounds are checked before it is proposed: zero means zero here,
  # except where NewJob says "the queue's setting". The `request` inside the operation's struct is left null.
  tenant @0 :Text;                     # empty: default
  request @1 :Api.RequestId;
  requestDigest @2 :Data;              # 16 bytes over the operation, present with a session or an idempotency key
  mayPark @3 :Bool;                    # a fetch that will wait when it comes out empty: stores no result
  union {
    none @4 :Void;
    enqueue @5 :Api.EnqueueRequest;
    fetch @6 :Api.FetchRequest;
    ack @7 :Api.AckRequest;
    fail @8 :Api.FailRequest;
    extend @9 :Api.ExtendRequest;
    release @10 :Api.ReleaseRequest;
    exchange @11 :Api.ExchangeRequest;
    openSession @12 :Api.OpenSessionRequest;
    closeSession @13 :Api.CloseSessionRequest;
    setQueue @14 :Api.SetQueueRequest;
    deleteQueue @15 :Api.DeleteQueueRequest;
    deleteJobs @16 :Api.DeleteJobsRequest;
    redriveDead @17 :Api.DeadRequest;
    deleteDead @18 :Api.DeadRequest;
    tick @19 :Tick;                    # proposed by the leader itself
    unsend @20 :Unsend;                # proposed by the server itself
  }
}

struct Tick {
  # Moves what is due: leases past their deadline, delayed jobs, retention, sessions, steps of bulk operations.
  rowsMax @0 :UInt32;                  # bound of the work of this entry
}

struct Unsend {
  # A grant of which no byte went to its caller: its jobs return and the attempt is not counted.
  lease @0 :Data;
}

# --- Stored rows -----------------------------------------------------------------------------------------------------
# A row is the first and only segment of a message, without a segment table; `version` is its first field.

struct JobRecord {
  # Value of `jobs`, `scheduled` and, inside their rows, of `dead` and `done`. Written once and not changed in place.
  version @0 :UInt16;
  priority @1 :UInt8;          # current lane, which may differ from what the id says
  flags @2 :UInt8;
  queue @3 :UInt32;
  group @4 :UInt32;
  maxAttempts @5 :UInt32;      # 0: the queue's setting; 0xffffffff: unlimited
  enqueuedMs @6 :Int64;        # wall clock of the entry
  groupName @7 :Text;
  contentType @8 :Text;
  headers @9 :List(Api.Header);
  payload @10 :Data;
}
