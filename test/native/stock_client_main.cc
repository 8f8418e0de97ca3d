// A client of Capstan made of the stock Cap'n Proto RPC library alone, which runs scenarios against a server: it shows
// that strangers' clients work. Called by test/e2e/stock_client.test.ts, and by hand:
//
//   stock_client --list                    prints the names of the scenarios
//   stock_client ADDRESS [SCENARIO...]     runs these, or all; the server should hold nothing in queue `default`
//                                          packed:HOST:PORT goes through a bridge that packs
#include <cstdio>
#include <cstring>

#include "stock_client.h"

namespace {

using capstan::stock::Scenario;

std::vector<Scenario> allScenarios() {
  std::vector<Scenario> all = capstan::stock::queueberScenarios();
  for (const auto* more : {&capstan::stock::queueberCrowdScenarios(), &capstan::stock::jobQueueScenarios()}) {
    all.insert(all.end(), more->begin(), more->end());
  }
  return all;
}

bool isWanted(const Scenario& scenario, int count, char** words) {
  if (count == 2) return true;
  for (int i = 2; i < count; i++) {
    if (std::strcmp(words[i], scenario.name) == 0) return true;
  }
  return false;
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) {
    std::fprintf(stderr, "usage: stock_client --list | ADDRESS [SCENARIO...]\n");
    return 2;
  }
  if (std::strcmp(words[1], "--list") == 0) {
    for (const auto& scenario : allScenarios()) std::printf("%s\n", scenario.name);
    return 0;
  }
  int passed = 0;
  int failed = 0;
  for (const auto& scenario : allScenarios()) {
    if (!isWanted(scenario, count, words)) continue;
    auto failure = kj::runCatchingExceptions([&]() {
      auto io = kj::setupAsyncIo();
      capstan::stock::World world(io, words[1]);
      scenario.run(world);
    });
    KJ_IF_MAYBE (exception, failure) {
      failed++;
      std::printf("not ok %s\n%s\n", scenario.name, kj::str(*exception).cStr());
    } else {
      passed++;
      std::printf("ok %s\n", scenario.name);
    }
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 || passed == 0 ? 1 : 0;
}
