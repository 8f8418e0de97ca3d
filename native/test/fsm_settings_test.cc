// The settings of a queue: what zero means, and that they fit each other. Owns nothing. Driven through entries made of
// real requests.
#include <functional>

#include "test/fsm_support.h"

namespace capstan::fsm {
namespace {

CommandResult setQueue(Node& node, std::function<void(schema::QueueSettings::Builder)> fill) {
  return node.run<schema::SetQueueRequest>(Method::setQueue, [&](schema::SetQueueRequest::Builder body) {
    body.setQueue("q");
    fill(body.initSettings());
  });
}

TEST(FsmSettings, zeroCanBeSaidAndTheBaseIsNotAboveTheMaximum) {
  Node node;
  EXPECT_EQ(setQueue(node, [](auto settings) { settings.setNoJitter(true); }).code, ErrorCode::OK);
  EXPECT_EQ(node.info("q").settings.values.backoffJitterPercent, 0u);
  EXPECT_EQ(node.info("q").settings.values.backoffBaseMs, 1000u) << "what is not named stays";
  const CommandResult low = setQueue(node, [](auto settings) { settings.setBackoffMaxMs(500); });
  EXPECT_EQ(low.code, ErrorCode::INVALID_ARGUMENT);
  EXPECT_EQ(low.error->message, "settings.backoffBaseMs: 1000 is above backoffMaxMs, which is to be 500");
  const CommandResult high = setQueue(node, [](auto settings) { settings.setBackoffBaseMs(700'000); });
  EXPECT_EQ(high.error->message, "settings.backoffBaseMs: 700000 is above backoffMaxMs, which is 600000");
  EXPECT_EQ(node.info("q").settings.values.backoffMaxMs, 600'000u) << "nothing was changed";
  EXPECT_EQ(setQueue(node,
                     [](auto settings) {
                       settings.setNoBackoff(true);
                       settings.setBackoffMaxMs(500);
                     })
                .code,
            ErrorCode::OK);
  const auto ids = node.enqueue("q", {"a"});
  node.fail(node.fetch({"q"}).lease, ids[0]);
  EXPECT_EQ(node.info("q").ready, 1u) << "no back-off";
}

TEST(FsmSettings, aRefusedQueueIsNotMade) {
  Node node;
  EXPECT_EQ(setQueue(node, [](auto settings) { settings.setBackoffMaxMs(1); }).code, ErrorCode::INVALID_ARGUMENT);
  ReadCommand list;
  list.method = Method::listQueues;
  list.tenant = codec::defaultTenant;
  list.limit = 10;
  EXPECT_TRUE(node.machine->read(list).queues.empty());
}

}  // namespace
}  // namespace capstan::fsm
