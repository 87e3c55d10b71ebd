// GET /v1/watch: the changes after a revision as server-sent events, without gap or repeat, also over a restart.
//
//     id: 4711-0123456789abcdef        event: put | delete | gone | bookmark        data: the change log's record
//
// `gone`: the object goes on, but no longer matches the filter. `bookmark`: nothing that you wanted until this id.
#pragma once
#include <bitset>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "orchestrator/api/exchange.hpp"
#include "orchestrator/api/filter.hpp"

namespace axle::api {

// What one watch wants to see. Pure.
struct Selection {
    std::bitset<kKinds> kinds = std::bitset<kKinds>{}.set();
    std::optional<Uuid> project;
    Filter filter;

    enum class Verdict { skip, put, removed, gone };
    Verdict judge(const ChangeEvent& event) const;
    // Of a record read from the change log, parsed.
    Verdict judge(const nlohmann::json& record) const;
    bool wants(Kind kind, const Uuid& of_project) const {
        return kinds[static_cast<std::size_t>(kind)] && (!project || *project == of_project);
    }
};

std::string event_text(Selection::Verdict verdict, Revision revision, std::string_view history,
                       std::string_view record);
std::string bookmark_text(Revision revision, std::string_view history);

// "4711-0123456789abcdef", "4711". Error: malformed; gone when it is of another history.
Result<Revision> parse_watch_id(std::string_view text, std::string_view history);

// One open watch. Core thread, unless said otherwise.
class Watch final : public ChangeSink, public OpenStream, public std::enable_shared_from_this<Watch> {
  public:
    Watch(std::shared_ptr<Api::Context> context, Login login, Selection selection, Revision since,
          Places::Ticket place);

    void changed(const ChangeEvent& event) override;
    void reached(Revision revision) override;

    // Begins to write; what came before is written now.
    void open(http::Stream stream);
    void tick() override;  // bookmark, or the end
    bool is_open() const { return stream_.is_open(); }

    SubscriptionId subscription = 0;
    Revision last = 0;  // told or passed over
    const Login login;
    const Selection selection;
    const std::string history;

  private:
    void write(std::string text);

    std::shared_ptr<Api::Context> context_;
    Places::Ticket place_;
    http::Stream stream_;
    std::string waiting_;  // until open()
    bool opened_ = false;
};

}  // namespace axle::api
