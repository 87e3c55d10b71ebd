// A conversation with one server: requests with our errors, the output that was asked for.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/base/result.hpp"
#include "common/http/client.hpp"
#include "common/model/object.hpp"
#include "orchestrator/cli/context.hpp"
#include "orchestrator/cli/terminal.hpp"

namespace axle::cli {

using nlohmann::json;

enum class Output { table, wide, json_text, yaml, name, csv };
std::optional<Output> parse_output(std::string_view text);

struct Flags {  // that every command has
    Wanted wanted;
    Output output = Output::table;
    bool wait = true;
    bool all_projects = false;
    bool dry_run = false;
    milliseconds timeout{10 * 60'000};  // of waiting
};

// DESIGN 13: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 not allowed, 6 quota, 7 time-out.
int exit_code_of(const Error& error);
// Message, field list, hint.
void tell_error(const Terminal& terminal, const Error& error);
Error error_of_response(const http::Response& response);

using Query = std::vector<std::pair<std::string, std::string>>;

class Session {
  public:
    static Result<Session> open(const Terminal& terminal, const Flags& flags);

    const Terminal& terminal() const { return *terminal_; }
    const Flags& flags() const { return flags_; }
    const std::string& project() const { return context_.project; }
    const Context& context() const { return context_; }
    http::Client& client() { return client_; }

    // JSON of a 2xx; everything else is an error. location: of the answer's header, if wanted.
    Result<json> request(const char* method, const std::string& target, const json* body = nullptr,
                         std::string* location = nullptr);
    Result<json> get(const std::string& target) { return request("GET", target); }
    Result<json> send_text(const char* method, const std::string& target, std::string_view body, const char* type,
                           std::string* location = nullptr);
    // Every page of a list.
    Result<json> list(const KindInfo& kind, Query query);
    Result<json> list_at(const std::string& path, Query query);  // all pages

    // "web1", "other/web1" (project and name). Paths begin with /v1.
    std::string path_of(const KindInfo& kind, const std::string& name = "") const;

  private:
    Session(const Terminal& terminal, Flags flags, Context context, http::Client client);
    const Terminal* terminal_;
    Flags flags_;
    Context context_;
    http::Client client_;
};

// A field that is text; empty: it is none, or not there.
std::string word(const json& object, const char* key);

// Shows one object or many as the output wants it.
void show_list(const Session& session, const KindInfo& kind, const json& items);
void show_one(const Session& session, const json& object);
// A sentence where people read, the object where programs do.
void show_done(const Session& session, const json& object, std::string_view sentence);

// With --no-wait: the task, where people read; the object where programs do.
void show_task(const Session& session, const json& object, const std::string& location, std::string_view sentence);

// Follows the task at `location` to its end, with a progress line; nothing to follow: at once. Error: the task's, or
// Code::timeout when the time is over or the person let go (reason "detached"). Answers what it says of its success, if
// anything.
Result<std::string> follow_task(Session& session, const std::string& location);

}  // namespace axle::cli
