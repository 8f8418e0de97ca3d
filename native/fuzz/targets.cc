// The table of fuzz targets. Owns their names, which are those of the folders below test/corpus as well. Called by the
// programs of this folder.
#include "fuzz/targets.h"

#include <algorithm>
#include <string>

#include "base/check.h"

namespace capstan::fuzz {
namespace {

constexpr Target all[] = {
    {"frames", frames}, {"connection", connection}, {"entry", entry}, {"apply", apply}, {"log", log}, {"rows", rows}};

}  // namespace

std::span<const Target> targets() { return all; }

const Target& targetNamed(std::string_view name) {
  const auto* found = std::find_if(std::begin(all), std::end(all), [&](const Target& one) { return one.name == name; });
  CAPSTAN_ASSERT(found != std::end(all), std::string(name));
  return *found;
}

}  // namespace capstan::fuzz
