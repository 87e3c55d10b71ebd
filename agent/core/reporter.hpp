// What the orchestrator is told about the documents: each report goes out when its text changed, many changes in a
// short while as one message (DESIGN 7.3). Nothing is kept for a connection that is gone: the next one is told all.
#pragma once
#include <map>
#include <string>

#include "agent/core/life.hpp"
#include "agent/core/records.hpp"
#include "common/base/clock.hpp"

namespace axle {

class Reporter {
  public:
    explicit Reporter(Clock& clock) : clock_(clock) {}
    ~Reporter() { clock_.cancel(timer_); }

    void set(const DocumentKey& key, Epoch epoch, std::string content);
    void gone(const DocumentKey& key, Epoch epoch);  // nothing is left of it; told once per connection
    void forget(const DocumentKey& key);

    void attach(Channel* channel);  // tells all anew; null: disconnected
    const std::string* content(const DocumentKey& key) const;

  private:
    struct Line {
        Epoch epoch;
        std::string content;
        bool dirty = true;
    };
    void arm();
    void flush();

    Clock& clock_;
    Channel* channel_ = nullptr;
    std::map<DocumentKey, Line> lines_;
    std::map<DocumentKey, Epoch> gone_;  // yet to be told on this connection
    TimerId timer_ = 0;
    Life life_;
};

// Carries `since` over from what was said before, so that it tells when a condition last changed.
void keep_since(const std::vector<Condition>& before, std::vector<Condition>& now, WallTime wall);

}  // namespace axle
