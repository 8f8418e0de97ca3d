// UTF-8 by hand: the tables of the Unicode standard's well-formed byte sequences. Owns nothing; knows no request.
// Called through text.h.
#include "codec/text.h"

#include <cstdint>

namespace capstan::codec {
namespace {

struct Character {
  uint32_t code = 0;
  uint32_t bytes = 0;  // 0: malformed
};

// The character that begins with a byte above 0x7f.
Character decodeLong(std::string_view text) {
  const auto byte = [&](size_t index) { return static_cast<uint8_t>(text[index]); };
  const uint8_t lead = byte(0);
  uint32_t bytes = 0;
  uint32_t smallest = 0;
  uint32_t code = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    bytes = 2, smallest = 0x80, code = lead & 0x1fu;
  } else if ((lead & 0xf0) == 0xe0) {
    bytes = 3, smallest = 0x800, code = lead & 0x0fu;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    bytes = 4, smallest = 0x10000, code = lead & 0x07u;
  } else {
    return {};
  }
  if (text.size() < bytes) return {};
  for (uint32_t i = 1; i < bytes; i++) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  if (code < smallest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return {};
  return {code, bytes};
}

bool isWellFormed(std::string_view text, bool controlsAllowed) {
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte < 0x80) {
      if (!controlsAllowed && (byte < 0x20 || byte == 0x7f)) return false;
      at++;
      continue;
    }
    const Character character = decodeLong(text.substr(at));
    if (character.bytes == 0) return false;
    if (!controlsAllowed && character.code < 0xa0) return false;
    at += character.bytes;
  }
  return true;
}

}  // namespace

bool isUtf8(std::string_view text) { return isWellFormed(text, true); }

bool isPlainText(std::string_view text) { return isWellFormed(text, false); }

std::string_view cutUtf8(std::string_view text, size_t bytesMax) {
  if (text.size() <= bytesMax) return text;
  size_t end = bytesMax;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) end--;
  return text.substr(0, end);
}

}  // namespace capstan::codec
