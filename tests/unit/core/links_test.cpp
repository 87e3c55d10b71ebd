// Connections that end at any moment: nothing of them is touched afterwards, and the next one is told everything.
#include "orchestrator/core/links.hpp"

#include <doctest/doctest.h>

#include "orchestrator/store/memory_store.hpp"
#include "tests/support/plain_codec.hpp"
#include "tests/support/virtual_clock.hpp"

using namespace axle;
using namespace axle::test;

namespace {

constexpr std::size_t kPools = 500;  // several rounds of HostLinks::kDocumentsAtOnce

struct Line {
    std::function<void(Message)> told;
    std::function<void(std::string)> closed;
    std::size_t puts = 0;
};
class LineEnd final : public Channel {
  public:
    explicit LineEnd(std::shared_ptr<Line> line) : line_(std::move(line)) {}
    void send(Message message) override {
        if (const auto* desired = std::get_if<Desired>(&message)) line_->puts += desired->puts.size();
    }
    void on_message(std::function<void(Message)> told) override { line_->told = std::move(told); }
    void on_closed(std::function<void(std::string)> told) override { line_->closed = std::move(told); }
    void close(std::string) override {}

  private:
    std::shared_ptr<Line> line_;
};

struct Orchestrating {
    VirtualTime time;
    VirtualClock clock{time};
    SeededRandom random{1};
    MemoryDisk disk;
    std::unique_ptr<Store> store = *MemoryStore::open(disk, clock, clock, random, {});
    Pipeline pipeline{*store, clock, random, kPlainCodec};
    HostLinks links{pipeline, clock, {.cluster = "c"}, events()};
    Uuid host = Uuid::make_v7(clock.wall(), random);

    static LinkEvents events() {
        LinkEvents none;
        none.hello = [](const Hello&, const LinkPeer&) { return Result<>{}; };
        none.twin = [](const Uuid&, const std::string&) {};
        none.lost = [](const Uuid&) {};
        return none;
    }
    Orchestrating() {
        Transaction tx = pipeline.begin();
        auto made = std::make_unique<Host>();
        made->meta.id = host;
        made->meta.name = "h";
        tx.create(std::move(made));
        for (std::size_t i = 0; i < kPools; ++i) {
            auto pool = std::make_unique<Pool>();
            pool->meta.name = fmt::format("p{}", i);
            tx.create(std::move(pool));
        }
        pipeline.commit(tx);
    }
    std::shared_ptr<Line> connect(std::uint64_t number) {
        auto line = std::make_shared<Line>();
        links.attach(std::make_unique<LineEnd>(line));
        line->told(Hello{.host = HostId{host}, .connection = number});
        return line;
    }
};

}  // namespace

TEST_CASE("a line that is cut between two rounds of documents ends there, and the next one is told all of them") {
    Orchestrating o;
    const auto cut = o.connect(1);
    cut->closed("cut");
    o.time.run_for(seconds{1});
    CHECK_FALSE(o.links.is_connected(o.host));
    CHECK(cut->puts <= HostLinks::kDocumentsAtOnce);

    const auto elder = o.connect(2);
    const auto newer = o.connect(3);  // before the elder one's second round
    o.time.run_for(seconds{1});
    CHECK(o.links.is_connected(o.host));
    CHECK(newer->puts == kPools);
    CHECK_FALSE(o.links.untold(o.host).has_value());
}
