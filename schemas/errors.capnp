# Every error code of Capstan, in one place. C++ and TypeScript both take their tables from here, so a code can never
# mean two things. Append only: a number that was ever released keeps its meaning.
@0xcfefa930323b534b;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("capstan::schema");

annotation summary @0x9af0a6a5e9d1f6b1 (enumerant) :Text;
# One sentence for people: what happened and what to do.

annotation retryable @0xb6a1d4f0b0a7c9d2 (enumerant) :Void;
# The same request may succeed later; `retryAfterMs` says when to try.

enum ErrorCode {
  ok @0 $summary("The request was carried out.");
  invalidArgument @1 $summary("A field of the request is out of its bounds; the message names the field and the bound.");
  tooLarge @2 $summary("A payload, header, name or request is larger than its limit; the message names the limit.");
  busy @3 $summary("A limit of the server is reached for now; try again after retryAfterMs.") $retryable;
  diskFull @4 $summary("The disk reserve is reached: free space or add disk; fetch, ack and delete still work.") $retryable;
  leaseLost @5 $summary("The lease is over or was never granted to this caller; the job may be with another worker.");
  notFound @6 $summary("No such queue, job, session or operation.");
  unsupported @7 $summary("This server does not know the operation or the version asked for.");
  sessionExpired @8 $summary("The session is unknown or over; open a new one. The request was not carried out.");
  requestForgotten @9 $summary("The result of this request is no longer kept; it will not be carried out again.");
  idempotencyConflict @10 $summary("The idempotency key, or the sequence of the session, was used before with a different request.");
  crossShard @11 $summary("The command touches queues of more than one shard; give them a common {tag} or split it.");
  refused @12 $summary("Another part of the exchange was refused and requireAcks was set, so nothing was applied.");
  limitReached @13 $summary("A replicated limit (queues, lanes, groups, sessions) is reached; remove some first.");
  shuttingDown @14 $summary("The server is stopping; connect to another or try again.") $retryable;
  notLeader @15 $summary("This node does not lead the shard; the message names the leader where it is known.") $retryable;
  unknown @16 $summary("The outcome is unknown: the command may or may not have been carried out.");
  canceled @17 $summary("The caller gave the request up.");
  deadlineExceeded @18 $summary("The request did not finish within its deadline.") $retryable;
  unauthenticated @19 $summary("No or wrong credentials.");
  forbidden @20 $summary("These credentials do not allow the operation on this queue.");
  queueDeleting @21 $summary("The queue is being deleted; try again when that is done.") $retryable;
  alreadyExists @22 $summary("An object of that name exists already.");
  wrongCluster @23 $summary("The server belongs to another cluster than the client pinned.");
  internal @24 $summary("A fault of the server; its log has the details.");
}
