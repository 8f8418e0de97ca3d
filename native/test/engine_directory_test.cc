// What a data directory refuses and what it survives: another server, another format, somebody else's files, damage, a
// kill between any two steps. Owns a directory for each test. Run by the native test program.
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/files.h"
#include "engine/data_directory.h"
#include "engine/text_file.h"
#include "test/temporary_directory.h"

namespace capstan::engine {
namespace {

class EngineDirectory : public testing::Test {
 protected:
  Result<std::unique_ptr<DataDirectory>> open() { return DataDirectory::open(systemFiles(), path); }
  std::unique_ptr<DataDirectory> mustOpen() {
    auto opened = open();
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    return opened.take();
  }
  std::string wordOfOpen() {
    const auto opened = open();
    return opened.ok() ? "opened" : opened.error().field;
  }
  void put(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories(std::filesystem::path(path + "/" + name).parent_path());
    std::ofstream(path + "/" + name, std::ios::binary) << bytes;
  }
  std::string get(const std::string& name) {
    std::ifstream file(path + "/" + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool has(const std::string& name) { return std::filesystem::exists(path + "/" + name); }

  const TemporaryDirectory temporary;
  const std::string scratch = temporary.path;
  const std::string path = scratch + "/data";
};

NodeIdentity someNode() {
  NodeIdentity node;
  node.clusterId.bytes[0] = 0xab;
  node.clusterId.bytes[15] = 1;
  return node;
}

TEST_F(EngineDirectory, refusesASecondServer) {
  auto first = mustOpen();
  const auto second = open();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().field, "directoryLocked");
  first.reset();
  EXPECT_EQ(wordOfOpen(), "opened");
}

TEST_F(EngineDirectory, refusesADirectoryOfSomebodyElseAndLeavesNothingInIt) {
  put("letters.txt", "dear");
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().field, "notDirectory");
  EXPECT_NE(opened.error().message.find("letters.txt"), std::string::npos);
  EXPECT_FALSE(has("lock"));
  EXPECT_FALSE(has("format"));
}

TEST_F(EngineDirectory, refusesAFileInItsPlace) {
  std::ofstream(path) << "a file";
  EXPECT_EQ(wordOfOpen(), "notDirectory");
}

TEST_F(EngineDirectory, saysWhenItMayNotWrite) {
  ::chmod(scratch.c_str(), 0500);
  // Root may write anywhere, so this thread touches files as nobody.
  ::setfsuid(::geteuid() == 0 ? 65534 : ::geteuid());
  EXPECT_EQ(wordOfOpen(), "permission");
  ::setfsuid(::geteuid());
  ::chmod(scratch.c_str(), 0700);
}

TEST_F(EngineDirectory, refusesOtherFormatsNamingBoth) {
  mustOpen().reset();
  for (const auto& [version, word] : {std::pair{dataFormat + 1, "formatNewer"}, std::pair{0u, "formatOlder"}}) {
    TextFile file("format");
    file.set("version", version);
    put("format", file.encode());
    const auto opened = open();
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().field, word);
    EXPECT_NE(opened.error().message.find("format " + std::to_string(version)), std::string::npos);
    EXPECT_NE(opened.error().message.find("format " + std::to_string(dataFormat) + " of"), std::string::npos);
  }
}

TEST_F(EngineDirectory, noticesEveryFlippedByteOfItsFiles) {
  {
    auto directory = mustOpen();
    ASSERT_TRUE(directory->writeIdentity(someNode()).ok());
  }
  for (const std::string name : {"format", "node"}) {
    const std::string good = get(name);
    for (size_t at = 0; at < good.size(); ++at) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 1);
      put(name, bad);
      EXPECT_EQ(wordOfOpen(), "damaged") << name << " byte " << at;
    }
    for (const size_t length : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 1}) {
      put(name, good.substr(0, length));
      EXPECT_EQ(wordOfOpen(), "damaged") << name << " cut to " << length;
    }
    put(name, good);
  }
  EXPECT_EQ(mustOpen()->identity().clusterId, someNode().clusterId);
}

TEST_F(EngineDirectory, isPrivateWhateverTheUmask) {
  const mode_t before = ::umask(0);
  {
    auto directory = mustOpen();
    ASSERT_TRUE(directory->writeIdentity(someNode()).ok());
    ShardManifest manifest;
    ASSERT_TRUE(directory->prepareShard(0, manifest).ok());
    ASSERT_TRUE(directory->writeManifest(0, manifest).ok());
  }
  ::umask(before);
  struct stat about;
  for (const std::string name : {"", "/shard-0", "/shard-0/snapshots"}) {
    ASSERT_EQ(::stat((path + name).c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0700u) << name;
  }
  for (const std::string name : {"/lock", "/format", "/node", "/shard-0/manifest"}) {
    ASSERT_EQ(::stat((path + name).c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(EngineDirectory, continuesAfterAKillAtEachStepOfItsFirstStart) {
  // Killed before the format counts, with the lock there and the format half written.
  put("lock", "");
  put("format.new", "capst");
  {
    auto directory = mustOpen();
    EXPECT_FALSE(directory->hasIdentity());
    // Killed before the identity counts.
    put("node.new", "capstan no");
  }
  {
    auto directory = mustOpen();
    EXPECT_FALSE(directory->hasIdentity());
    ASSERT_TRUE(directory->writeIdentity(someNode()).ok());
    ShardManifest manifest;
    EXPECT_FALSE(directory->prepareShard(0, manifest).value());
    // Killed while founding: a state and a log are there, the manifest is not.
    put("shard-0/state-1/CURRENT", "half");
    put("shard-0/log/0000000000000001.log", "half");
    put("shard-0/manifest.new", "half");
  }
  {
    auto directory = mustOpen();
    ASSERT_TRUE(directory->hasIdentity());
    ShardManifest manifest;
    EXPECT_FALSE(directory->prepareShard(0, manifest).value());
    EXPECT_FALSE(has("shard-0/state-1"));
    EXPECT_FALSE(has("shard-0/log"));
    EXPECT_FALSE(has("shard-0/manifest.new"));
  }
}

TEST_F(EngineDirectory, keepsWhatTheManifestNamesAndRemovesTheRest) {
  ShardManifest written{7, 40, 3, 4, 1, 41, std::string("\x00\xff\n", 3)};
  {
    auto directory = mustOpen();
    ASSERT_TRUE(directory->writeIdentity(someNode()).ok());
    ShardManifest manifest;
    ASSERT_TRUE(directory->prepareShard(0, manifest).ok());
    ASSERT_TRUE(directory->writeManifest(0, written).ok());
    put("shard-0/state-7/CURRENT", "new");
    put("shard-0/state-6/CURRENT", "old");
    put("shard-0/state-8/CURRENT", "half");
    put("shard-0/log/0000000000000001.log", "log");
    put("shard-0/snapshots/one/CURRENT", "sent");
  }
  auto directory = mustOpen();
  ShardManifest read;
  ASSERT_TRUE(directory->prepareShard(0, read).value());
  EXPECT_EQ(read.state, 7u);
  EXPECT_EQ(read.logBaseIndex, 40u);
  EXPECT_EQ(read.logBaseTerm, 3u);
  EXPECT_EQ(read.term, 4u);
  EXPECT_EQ(read.vote, 1u);
  EXPECT_EQ(read.commit, 41u);
  EXPECT_EQ(read.confState, written.confState);
  EXPECT_TRUE(has("shard-0/state-7/CURRENT"));
  EXPECT_TRUE(has("shard-0/log/0000000000000001.log"));
  EXPECT_FALSE(has("shard-0/state-6"));
  EXPECT_FALSE(has("shard-0/state-8"));
  EXPECT_FALSE(has("shard-0/snapshots/one"));
}

TEST_F(EngineDirectory, neverFoundsAgainWhatWasFounded) {
  {
    auto directory = mustOpen();
    NodeIdentity node = someNode();
    node.founded = true;
    ASSERT_TRUE(directory->writeIdentity(node).ok());
    put("shard-0/state-1/CURRENT", "jobs");
  }
  {
    auto directory = mustOpen();
    ShardManifest manifest;
    const auto prepared = directory->prepareShard(0, manifest);
    ASSERT_FALSE(prepared.ok());
    EXPECT_EQ(prepared.error().field, "damaged");
    EXPECT_TRUE(has("shard-0/state-1/CURRENT")) << "nothing was removed";
  }
  std::filesystem::remove(path + "/node");
  EXPECT_EQ(wordOfOpen(), "damaged");
}

TEST_F(EngineDirectory, refusesAManifestWhoseStateIsGone) {
  {
    auto directory = mustOpen();
    ShardManifest manifest;
    ASSERT_TRUE(directory->prepareShard(0, manifest).ok());
    ASSERT_TRUE(directory->writeManifest(0, manifest).ok());
    ASSERT_TRUE(directory->writeIdentity(someNode()).ok());
  }
  auto directory = mustOpen();
  ShardManifest manifest;
  const auto prepared = directory->prepareShard(0, manifest);
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.error().field, "damaged");
}

}  // namespace
}  // namespace capstan::engine
