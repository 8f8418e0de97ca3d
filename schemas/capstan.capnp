# What clients may say to Capstan, and what they get back: the interface `JobQueue` and its messages. The same structs
# travel over every transport. Append only: fields and methods are added at the end and never change their meaning.
#
# Conventions. Job ids and lease ids are 16 bytes. Durations are milliseconds on the cluster's stopwatch, instants are
# milliseconds since the Unix epoch. A zero or absent field means the documented default. An expected outcome (empty,
# busy, leaseLost) is a value in `status`, never an exception; an absent status means ok.
@0xb5ba4f4bdc7c03d9;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("capstan::schema");
using import "errors.capnp".ErrorCode;

interface JobQueue @0xb1b91b5277db6648 {
  enqueue @0 (req :EnqueueRequest) -> (resp :EnqueueResponse);
  fetch @1 (req :FetchRequest) -> (resp :FetchResponse);
  ack @2 (req :AckRequest) -> (resp :SettleResponse);
  fail @3 (req :FailRequest) -> (resp :SettleResponse);
  extend @4 (req :ExtendRequest) -> (resp :ExtendResponse);
  release @5 (req :ReleaseRequest) -> (resp :SettleResponse);
  exchange @6 (req :ExchangeRequest) -> (resp :ExchangeResponse);
  openSession @7 (req :OpenSessionRequest) -> (resp :OpenSessionResponse);
  closeSession @8 (req :CloseSessionRequest) -> (resp :StatusResponse);
  setQueue @9 (req :SetQueueRequest) -> (resp :QueueResponse);
  deleteQueue @10 (req :DeleteQueueRequest) -> (resp :OperationResponse);
  listQueues @11 (req :ListQueuesRequest) -> (resp :ListQueuesResponse);
  getQueue @12 (req :GetQueueRequest) -> (resp :QueueResponse);
  peek @13 (req :PeekRequest) -> (resp :JobsResponse);
  getJob @14 (req :GetJobRequest) -> (resp :JobResponse);
  deleteJobs @15 (req :DeleteJobsRequest) -> (resp :SettleResponse);
  listDead @16 (req :ListDeadRequest) -> (resp :JobsResponse);
  redriveDead @17 (req :DeadRequest) -> (resp :OperationResponse);
  deleteDead @18 (req :DeadRequest) -> (resp :OperationResponse);
  getOperation @19 (req :GetOperationRequest) -> (resp :OperationResponse);
  serverInfo @20 (req :ServerInfoRequest) -> (resp :ServerInfoResponse);
}

struct Status {
  code @0 :ErrorCode;
  retryAfterMs @1 :UInt32;
  message @2 :Text;   # for people; never parsed
  field @3 :Text;     # the field at fault, where there is one
}

struct RequestId {
  # Makes a retry safe: the same (session, sequence) is carried out once and answered with the same result. Another
  # request under a sequence that was used is refused as idempotencyConflict.
  session @0 :UInt64;             # 0: no session
  sequence @1 :UInt64;            # 1, 2, 3 … chosen by the client
  lowestUnanswered @2 :UInt64;    # every result below it was received
  receivedAbove @3 :List(UInt64); # received sequences above lowestUnanswered, at most 1,024
  idempotencyKey @4 :Text;        # instead of a session, or beside one; at most 200 bytes
}

struct Header {
  name @0 :Text;
  value @1 :Data;
}

struct NewJob {
  payload @0 :Data;
  delayMs @1 :UInt64;       # 0: ready at once; at most 10 years
  runAtMs @2 :Int64;        # an instant instead of a delay; 0: none
  priority @3 :UInt8;       # 0 … 15, the larger goes first
  maxAttempts @4 :UInt32;   # 0: the queue's setting; 0xffffffff: unlimited
  group @5 :Text;
  headers @6 :List(Header);
  contentType @7 :Text;
}

struct EnqueueRequest {
  request @0 :RequestId;
  queue @1 :Text;
  jobs @2 :List(NewJob);    # all are taken, or none is
}

struct EnqueueResponse {
  status @0 :Status;
  ids @1 :List(Data);       # in the order of the request
}

struct FetchRequest {
  request @0 :RequestId;
  queues @1 :List(Text);    # 1 … 64, tried in this order
  jobsMax @2 :UInt32;       # 0: 1; at most 1,024
  bytesMax @3 :UInt32;      # 0: 4 MiB; at most 16 MiB; the first job is always granted
  leaseMs @4 :UInt64;       # 0: 30 s; 100 ms … 24 h
  waitMs @5 :UInt64;        # 0: answer at once; at most 10 min
  worker @6 :Text;          # a name for people, shown beside the lease
}

struct FetchResponse {
  status @0 :Status;
  lease @1 :Data;           # empty when no job was granted
  token @2 :UInt64;         # fencing token of every job of this grant
  leaseMs @3 :UInt64;       # what was granted
  jobs @4 :List(FetchedJob);
  appliedIndex @5 :UInt64;
}

struct FetchedJob {
  id @0 :Data;
  payload @1 :Data;
  queueIndex @2 :UInt16;    # which of the request's queues
  priority @3 :UInt8;
  attempt @4 :UInt32;       # 1 on the first delivery
  maxAttempts @5 :UInt32;   # 0xffffffff: unlimited
  enqueuedMs @6 :Int64;
  group @7 :Text;
  headers @8 :List(Header);
  contentType @9 :Text;
}

struct AckRequest {
  request @0 :RequestId;
  lease @1 :Data;
  ids @2 :List(Data);
  all @3 :Bool;             # every job still open in the lease, instead of ids
  results @4 :List(Data);   # beside ids; reserved until queues keep results
}

struct FailedJob {
  id @0 :Data;
  reason @1 :Text;          # at most 8 KiB are kept
  retryDelayMs @2 :UInt64;  # 0: by the queue's back-off
  dead @3 :Bool;            # no further attempt
}

struct FailRequest {
  request @0 :RequestId;
  lease @1 :Data;
  jobs @2 :List(FailedJob);
}

struct ReleaseRequest {
  # Gives jobs back untouched: the attempt is not counted.
  request @0 :RequestId;
  lease @1 :Data;
  ids @2 :List(Data);
  all @3 :Bool;
}

struct Refusal {
  index @0 :UInt32;         # into the request's list
  code @1 :ErrorCode;
}

struct SettleResponse {
  status @0 :Status;
  accepted @1 :UInt32;
  refused @2 :List(Refusal);
}

struct ExtendRequest {
  request @0 :RequestId;
  lease @1 :Data;
  leaseMs @2 :UInt64;       # from now; may shorten
}

struct ExtendResponse {
  status @0 :Status;
  openJobs @1 :UInt32;
  leaseMs @2 :UInt64;
}

struct ExchangeRequest {
  # One commit. The `request` of the parts is not looked at.
  request @0 :RequestId;
  requireAcks @1 :Bool;     # all acks, fails, releases, extends and enqueues apply, or none does
  acks @2 :List(AckRequest);
  fails @3 :List(FailRequest);
  releases @4 :List(ReleaseRequest);
  extends @5 :List(ExtendRequest);
  enqueues @6 :List(EnqueueRequest);
  fetch @7 :FetchRequest;   # absent: none; with other parts it never waits
}

struct ExchangeResponse {
  status @0 :Status;
  acks @1 :List(SettleResponse);
  fails @2 :List(SettleResponse);
  releases @3 :List(SettleResponse);
  extends @4 :List(ExtendResponse);
  enqueues @5 :List(EnqueueResponse);
  fetch @6 :FetchResponse;
}

struct OpenSessionRequest {
  name @0 :Text;            # for people
  keepMs @1 :UInt64;        # idle time until it ends; 0: 10 min; 1 s … 24 h
}

struct OpenSessionResponse {
  status @0 :Status;
  session @1 :UInt64;
  keepMs @2 :UInt64;
}

struct CloseSessionRequest {
  session @0 :UInt64;
}

struct StatusResponse {
  status @0 :Status;
}

struct QueueSettings {
  # A zero or absent field of a request leaves the setting as it is. What may be zero has a field of its own that says
  # so; an answer has the values, and those fields are false.
  paused @0 :Bool;
  maxAttempts @1 :UInt32;        # 0xffffffff: unlimited
  backoffBaseMs @2 :UInt64;      # at most a day, and at most backoffMaxMs
  backoffFactorPercent @3 :UInt32; # 200: doubles; 100 … 10,000
  backoffMaxMs @4 :UInt64;       # at most 30 days
  backoffJitterPercent @5 :UInt32; # ± of the delay; at most 100
  deadKeepMs @6 :UInt64;         # retention of dead jobs: 1 min … 10 years
  groupQuantum @7 :UInt32;       # jobs a group gets before the next one's turn; at most 10,000
  noBackoff @8 :Bool;            # backoffBaseMs becomes 0: a failed job is ready again at once
  noJitter @9 :Bool;             # backoffJitterPercent becomes 0
}

struct SetQueueRequest {
  request @0 :RequestId;
  queue @1 :Text;                # made when it does not exist
  settings @2 :QueueSettings;
  pause @3 :Bool;
  resume @4 :Bool;
}

struct DeleteQueueRequest {
  request @0 :RequestId;
  queue @1 :Text;
}

struct QueueInfo {
  name @0 :Text;
  settings @1 :QueueSettings;
  ready @2 :UInt64;
  leased @3 :UInt64;
  scheduled @4 :UInt64;
  dead @5 :UInt64;
  groups @6 :UInt64;
  enqueuedTotal @7 :UInt64;
  ackedTotal @8 :UInt64;
  failedTotal @9 :UInt64;
  expiredTotal @10 :UInt64;
  deadTotal @11 :UInt64;
  bytes @12 :UInt64;             # payloads and headers of what is stored
  deleting @13 :Bool;
}

struct QueueResponse {
  status @0 :Status;
  queue @1 :QueueInfo;
  appliedIndex @2 :UInt64;
}

struct ListQueuesRequest {
  after @0 :Text;                # a name: start behind it
  limit @1 :UInt32;              # 0: 100; at most 1,000
  prefix @2 :Text;
}

struct ListQueuesResponse {
  status @0 :Status;
  queues @1 :List(QueueInfo);
  next @2 :Text;                 # give as `after`; empty at the end
  appliedIndex @3 :UInt64;
}

struct GetQueueRequest {
  queue @0 :Text;
}

enum JobState {
  ready @0;
  leased @1;
  scheduled @2;
  dead @3;
  done @4;
}

struct JobInfo {
  id @0 :Data;
  queue @1 :Text;
  state @2 :JobState;
  priority @3 :UInt8;
  group @4 :Text;
  attempts @5 :UInt32;           # deliveries that ended without an ack
  maxAttempts @6 :UInt32;
  enqueuedMs @7 :Int64;
  dueInMs @8 :UInt64;            # scheduled: until it is ready; leased: until the lease is over
  deadMs @9 :Int64;              # dead: since when
  lastError @10 :Text;
  headers @11 :List(Header);
  contentType @12 :Text;
  payload @13 :Data;             # cut to payloadBytesMax of the request
  payloadBytes @14 :UInt64;      # whole
  worker @15 :Text;              # leased: to whom
}

struct PeekRequest {
  queue @0 :Text;
  limit @1 :UInt32;              # 0: 10; at most 1,000
  payloadBytesMax @2 :UInt32;    # of each job; 0: 64 KiB
  state @3 :JobState;            # ready or scheduled
  after @4 :Data;                # an opaque place: `next` of the last answer
}

struct JobsResponse {
  status @0 :Status;
  jobs @1 :List(JobInfo);
  next @2 :Data;                 # empty at the end
  appliedIndex @3 :UInt64;
}

struct GetJobRequest {
  id @0 :Data;
  payloadBytesMax @1 :UInt32;    # 0: the whole payload
}

struct JobResponse {
  status @0 :Status;
  job @1 :JobInfo;
  appliedIndex @2 :UInt64;
}

struct DeleteJobsRequest {
  request @0 :RequestId;
  ids @1 :List(Data);            # a leased one goes when its lease item closes
}

struct ListDeadRequest {
  queue @0 :Text;
  limit @1 :UInt32;              # 0: 100; at most 1,000
  after @2 :Data;
  payloadBytesMax @3 :UInt32;
}

struct DeadRequest {
  request @0 :RequestId;
  queue @1 :Text;
  ids @2 :List(Data);            # these, or
  all @3 :Bool;                  # all that are dead now
}

struct GetOperationRequest {
  operation @0 :UInt64;
}

struct OperationResponse {
  # Work over many rows runs in bounded steps; `done` says how far it is.
  status @0 :Status;
  operation @1 :UInt64;          # 0: finished within the request
  done @2 :UInt64;
  finished @3 :Bool;
}

struct ServerInfoRequest {}

struct ServerInfoResponse {
  status @0 :Status;
  version @1 :Text;
  clusterId @2 :Data;            # 16 bytes
  nodeId @3 :UInt64;
  appliedIndex @4 :UInt64;
  durableIndex @5 :UInt64;
  digest @6 :Data;
  leaderId @7 :UInt64;           # 0: none known
  clusterVersion @8 :UInt32;
  term @9 :UInt64;
}
