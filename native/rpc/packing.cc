// Runs, tags and where a frame begins; the story is in packing.h. Owns no state beside the two classes'. Called by
// engine/packed.h.
#include "rpc/packing.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace capstan::rpc {
namespace {

constexpr size_t runWordsMax = 255;

uint8_t tagOf(const uint8_t* word) {
  uint8_t tag = 0;
  for (int at = 0; at < 8; ++at) tag = static_cast<uint8_t>(tag | (word[at] != 0 ? 1 << at : 0));
  return tag;
}

// A word of which two bytes are zero is shorter packed than as it is.
bool staysRaw(const uint8_t* word) { return __builtin_popcount(tagOf(word)) >= 7; }

}  // namespace

size_t Unpacker::unpack(ByteSpan& packed, std::span<uint8_t> out) {
  size_t written = 0;
  const auto take = [&packed] {
    const uint8_t value = packed.front();
    packed = packed.subspan(1);
    return value;
  };
  for (;;) {
    switch (step) {
      case Step::tag:
        if (packed.empty()) return written;
        tag = take();
        byte = 0;
        step = Step::word;
        break;
      case Step::word:
        for (; byte < 8; ++byte) {
          const bool follows = (tag >> byte & 1) != 0;
          if (written == out.size() || (follows && packed.empty())) return written;
          out[written++] = follows ? take() : 0;
        }
        step = tag == 0 ? Step::zeroCount : tag == 0xff ? Step::rawCount : Step::tag;
        break;
      case Step::zeroCount:
      case Step::rawCount:
        if (packed.empty()) return written;
        left = size_t{take()} * 8;
        step = step == Step::zeroCount ? Step::zeros : Step::raw;
        break;
      case Step::zeros:
      case Step::raw: {
        size_t bytes = std::min(left, out.size() - written);
        if (step == Step::raw) bytes = std::min(bytes, packed.size());
        if (bytes > 0 && step == Step::raw) {
          std::memcpy(out.data() + written, packed.data(), bytes);
          packed = packed.subspan(bytes);
        } else if (bytes > 0) {
          std::memset(out.data() + written, 0, bytes);
        }
        written += bytes;
        left -= bytes;
        if (left > 0) return written;
        step = Step::tag;
      }
    }
  }
}

void Packer::pack(ByteSpan bytes, std::vector<uint8_t>& out) {
  if (carriedBytes > 0) {
    const size_t taken = std::min(bytes.size(), sizeof(carried) - carriedBytes);
    std::memcpy(carried + carriedBytes, bytes.data(), taken);
    carriedBytes += taken;
    bytes = bytes.subspan(taken);
    if (carriedBytes < sizeof(carried)) return;
    carriedBytes = 0;
    packSome(carried, out);
  }
  while (bytes.size() >= 8) bytes = bytes.subspan(packSome(bytes, out));
  carriedBytes = bytes.size();
  if (carriedBytes > 0) std::memcpy(carried, bytes.data(), carriedBytes);
}

// A word of a table, or as much as is there of a body. Returns how many bytes it took.
size_t Packer::packSome(ByteSpan bytes, std::vector<uint8_t>& out) {
  if (bodyWords == 0) {
    takeTableWord(bytes.data());
    packWords(bytes.first(8), out);
    return 8;
  }
  const size_t words = std::min<uint64_t>(bodyWords, bytes.size() / 8);
  packWords(bytes.first(words * 8), out);
  bodyWords -= words;
  return words * 8;
}

void Packer::takeTableWord(const uint8_t* word) {
  const bool isFirst = tableWords == 0;
  if (isFirst) {
    segmentsLeft = uint64_t{getLittle<uint32_t>(word)} + 1;
    tableWords = segmentsLeft / 2 + 1;
  }
  for (const int at : {0, 4}) {
    if ((at == 0 && isFirst) || segmentsLeft == 0) continue;
    wordsOfTable += getLittle<uint32_t>(word + at);
    --segmentsLeft;
  }
  if (--tableWords == 0) bodyWords = std::exchange(wordsOfTable, 0);
}

void Packer::packWords(ByteSpan words, std::vector<uint8_t>& out) {
  while (!words.empty()) {
    const uint8_t tag = tagOf(words.data());
    out.push_back(tag);
    for (int at = 0; at < 8; ++at) {
      if (words[static_cast<size_t>(at)] != 0) out.push_back(words[static_cast<size_t>(at)]);
    }
    words = words.subspan(8);
    if (tag != 0 && tag != 0xff) continue;
    size_t run = 0;
    while (run < runWordsMax && run * 8 < words.size()) {
      const uint8_t* next = words.data() + run * 8;
      if (tag == 0 ? tagOf(next) != 0 : !staysRaw(next)) break;
      ++run;
    }
    out.push_back(static_cast<uint8_t>(run));
    if (tag != 0) out.insert(out.end(), words.begin(), words.begin() + static_cast<ptrdiff_t>(run * 8));
    words = words.subspan(run * 8);
  }
}

}  // namespace capstan::rpc
