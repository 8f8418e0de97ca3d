# Numbers that C++ and TypeScript share across the Node-API boundary. Both sides are generated from here; nothing of it
# is stored or sent, so it may change from one build to the next.
@0xa23b7d19d959fade;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("capstan::schema");

enum CallClass {
  # What the router does with a call.
  write @0;        # goes into the apply loop
  fetch @1;        # goes through the poll coalescer into the apply loop; may park
  read @2;         # answered from the state by the readers
  info @3;         # answered by the worker itself
  canceled @4;     # not a call: an earlier one was given up by its client
}

enum CallWord {
  # Words of one record that `receive` writes, each an unsigned 32-bit number.
  handle @0;
  class @1;        # CallClass
  method @2;       # number in JobQueue, or 0x100 + number in Queueber
  queueKey @3;     # hash of tenant and queue; 0: several or none
  bytes @4;        # pinned until the call is answered
  replyBytesMax @5;
  waitMs @6;       # fetch; 0xffffffff: without end
  jobs @7;         # jobs or ids of the request
}
const callWords :UInt32 = 8;

enum EventKind {
  write @0;        # connection, slab offset, bytes, calls finished, bytes released
  entryDone @1;    # ticket: a proposed entry has its results
  empty @2;        # handle: a waiting fetch came out empty; park it or try again
  wake @3;         # handle: a parked fetch may succeed now
  dropped @4;      # handle, bytes released: canceled, or its connection is gone
  accepted @5;     # file descriptor, listener
  close @6;        # connection: end the socket after what was written
  state @7;        # EngineState bits
}
const eventWords :UInt32 = 6;

enum EngineState {
  # Bit numbers.
  serving @0;
  leading @1;
  diskFull @2;
  stopping @3;
}
