// Rules of names and texts that clients send. Owns no state and never changes a text. Called by the validation of
// requests; what passes here is shown to people and stored, so it is UTF-8 without surprises.
#pragma once

#include <cstddef>
#include <string_view>

namespace capstan::codec {

// Well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool isUtf8(std::string_view text);

// Well-formed UTF-8 without the control characters U+0000-U+001F and U+007F-U+009F. Empty is fine here.
bool isPlainText(std::string_view text);

// The longest beginning of at most `bytesMax` bytes that does not cut a character; `text` is well-formed.
std::string_view cutUtf8(std::string_view text, size_t bytesMax);

}  // namespace capstan::codec
