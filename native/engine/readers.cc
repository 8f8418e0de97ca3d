// The reader threads' loop and the choice among them; see readers.h. Owns no state of the queue. Called by the engine
// (reads) and by the apply thread (records).
#include "engine/readers.h"

#include <algorithm>
#include <string>
#include <utility>

#include "codec/read_request.h"
#include "engine/apply_step.h"

namespace capstan::engine {

Readers::Readers(fsm::StateMachine& machine, Completions& completions,
                 std::function<void(ServerStateValue&)> fillServer, uint32_t threads)
    : machine(machine), completions(completions), fillServer(std::move(fillServer)) {
  for (uint32_t number = 0; number < std::max(1u, threads); ++number) {
    readers.push_back(std::make_unique<Reader>());
    Reader& reader = *readers.back();
    reader.thread = startThread("reader-" + std::to_string(number), [this, &reader] { run(reader); });
  }
}

Readers::~Readers() { close(); }

Readers::Reader& Readers::leastBusy() {
  return **std::min_element(readers.begin(), readers.end(),
                            [](const auto& a, const auto& b) { return a->mail.size() < b->mail.size(); });
}

bool Readers::read(ReadRequest& request) {
  Work work = std::move(request);
  if (leastBusy().mail.tryPut(work)) return true;
  request = std::move(std::get<ReadRequest>(work));
  return false;
}

void Readers::fill(uint32_t worker, Completion completion) {
  leastBusy().mail.put(Fill{worker, std::move(completion)});
}

void Readers::close() {
  for (const auto& reader : readers) reader->mail.close();
  for (const auto& reader : readers) {
    if (reader->thread.joinable()) reader->thread.join();
  }
}

void Readers::run(Reader& reader) {
  std::vector<Work> mail;
  while (reader.mail.drain(mail)) {
    for (Work& work : mail) {
      std::visit([this](auto& content) { answer(content); }, work);
    }
    mail.clear();
  }
}

void Readers::answer(ReadRequest& request) {
  reads.fetch_add(1, std::memory_order_relaxed);
  auto result = std::make_shared<ReadResult>(machine.read(*request.command));
  if (request.command->method == codec::Method::serverInfo) fillServer(result->server);
  Completion completion;
  completion.kind = CompletionKind::read;
  completion.slot = request.slot;
  completion.appliedIndex = result->appliedIndex;
  completion.read = std::move(result);
  completions.post(request.worker, std::move(completion));
}

void Readers::answer(Fill& fill) {
  fills.fetch_add(1, std::memory_order_relaxed);
  fillResults(machine, fill.completion.results);
  completions.post(fill.worker, std::move(fill.completion));
}

}  // namespace capstan::engine
