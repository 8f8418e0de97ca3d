// The first broken invariant of a run: its name and what was seen. Owns the text. Given to everything that checks; the
// world stops at it.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace capstan::sim {

struct Broken {
  std::string invariant;
  std::string what;
};

class Failure {
 public:
  void set(std::string invariant, std::string what) {
    if (!first) first = Broken{std::move(invariant), std::move(what)};
  }
  // What must hold.
  void expect(bool holds, const char* invariant, const std::string& what) {
    if (!holds) set(invariant, what);
  }
  const std::optional<Broken>& get() const { return first; }

 private:
  std::optional<Broken> first;
};

}  // namespace capstan::sim
