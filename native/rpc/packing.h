// The packed form of Cap'n Proto (capnproto.org/encoding.html#packing) as a filter on either side of the frames: what
// comes is unpacked piece by piece, what goes is packed frame by frame. Owns a few bytes of state for each direction
// and no buffer: the caller gives the room, so an input that grows 1,024-fold costs no memory that was not meant for
// it. Reads no message. Called by engine/packed.h.
//
//   word      tag, then the bytes that are not zero: bit n of the tag says that byte n of the word follows
//   tag 00    then a count: so many more words of zeros
//   tag ff    (8 bytes) then a count: so many more words follow as they are
//
// Every sequence of bytes is a packed form of something, so nothing here can be wrong: what it unpacks to is checked as
// any frame is.
//
// Threading: one thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace capstan::rpc {

class Unpacker {
 public:
  // Takes bytes off the front of `packed` and writes to `out`; returns how many it wrote. Fewer than there was room
  // for: all of `packed` was taken, and more is needed to go on.
  size_t unpack(ByteSpan& packed, std::span<uint8_t> out);

 private:
  enum class Step { tag, word, zeroCount, zeros, rawCount, raw };

  Step step = Step::tag;
  uint8_t tag = 0;
  uint8_t byte = 0;  // of the word, the next one
  size_t left = 0;   // bytes of the run
};

class Packer {
 public:
  // Appends the packed form of these bytes of a stream of whole frames, cut anywhere. No run goes from one frame, or
  // from a frame's table, into what follows: stock readers take them one by one and refuse that.
  void pack(ByteSpan bytes, std::vector<uint8_t>& out);

 private:
  size_t packSome(ByteSpan bytes, std::vector<uint8_t>& out);
  void takeTableWord(const uint8_t* word);
  static void packWords(ByteSpan words, std::vector<uint8_t>& out);

  uint64_t tableWords = 0;    // left of the table of the frame under way
  uint64_t segmentsLeft = 0;  // whose sizes are not read yet
  uint64_t wordsOfTable = 0;  // the sizes so far
  uint64_t bodyWords = 0;     // left behind the table
  uint8_t carried[8] = {};    // the beginning of a word that was cut
  size_t carriedBytes = 0;
};

}  // namespace capstan::rpc
