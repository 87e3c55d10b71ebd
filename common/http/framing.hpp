// Where a request ends in a stream of bytes, and whether it is one at all. No I/O: the answer depends on the bytes
// alone, not on how they were cut into pieces. What could be read in two ways is refused.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/http/message.hpp"

namespace axle::http {

constexpr std::size_t kHeadMax = 16 << 10;  // request line and headers
constexpr std::size_t kTargetMax = 8000;    // path and query
constexpr std::int64_t kBodyMax = 1 << 20;  // where the rule says nothing else

struct RequestHead {
    std::string method;
    std::string target;  // as sent; percent signs are checked, nothing is decoded
    Headers headers;     // values without white space around them
    std::optional<std::int64_t> length;
    bool chunked = false;
    bool keep_alive = true;
    bool expects_continue = false;

    std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
    bool has_body() const { return chunked || length.value_or(0) > 0; }
};

struct Refusal {
    int status = 0;  // 400, 408, 413, 414, 417, 431, 501, 505
    std::string why;
};

struct BodyRule {
    std::int64_t limit = kBodyMax;
    bool streamed = false;  // no limit; the body is given in pieces
};

// One object a connection. After `complete` it goes on with the next request of the stream.
class Framer {
  public:
    // head: a whole head with a streamed body to come. piece: some of that body. complete: the request is whole.
    enum class Event { need_more, head, piece, complete, refused };
    using Rule = std::function<BodyRule(const RequestHead&)>;  // pure
    explicit Framer(Rule rule = {});

    void feed(std::string_view bytes);
    // What the bytes so far give. Call until need_more or refused (which is final).
    Event next();

    const RequestHead& head() const { return head_; }  // from the end of the head until the next request begins
    RequestHead take_head() { return std::move(head_); }
    std::string take_body() { return std::exchange(body_, {}); }  // after complete; not of a streamed request
    std::string take_piece() { return std::exchange(body_, {}); }
    const Refusal& refusal() const { return refusal_; }

    // True once, when the client waits for "100 Continue" before it sends its body.
    bool take_wants_continue();
    bool idle() const { return state_ == State::head && at_ == buffer_.size(); }  // not a byte of a request yet
    bool in_head() const { return state_ == State::head; }
    std::size_t buffered() const { return buffer_.size() - at_; }
    std::size_t held() const { return buffer_.capacity() + body_.capacity(); }  // memory
    void abandon();                                                             // nothing more is taken or kept
    std::string take_rest();  // the bytes after the last request: what follows a 101

  private:
    enum class State { head, fixed, chunk_size, chunk_data, chunk_end, last_end, refused };
    // nullopt: go on with the next step
    std::optional<Event> step();
    std::optional<Event> find_head();
    std::optional<Event> begin_body();
    std::optional<Event> fixed_body();
    std::optional<Event> chunk_size();
    std::optional<Event> chunk_data();
    std::optional<Event> chunk_end(bool last);
    Event finish();
    Event refuse(Refusal refusal);
    void consume(std::size_t n);
    void take(std::size_t n);
    std::string_view rest() const { return std::string_view(buffer_).substr(at_); }

    Rule rule_;
    State state_ = State::head;
    std::string buffer_;
    std::size_t at_ = 0;     // what lies before is consumed
    std::size_t seen_ = 0;   // of rest(): searched already, not searched again
    std::int64_t left_ = 0;  // of the body or chunk
    bool wants_continue_ = false;
    BodyRule body_rule_;
    RequestHead head_;
    std::string body_;
    Refusal refusal_;
};

// Exposed for tests: judges one head, without the empty line at its end.
std::optional<Refusal> parse_head(std::string_view text, RequestHead& head);

}  // namespace axle::http
