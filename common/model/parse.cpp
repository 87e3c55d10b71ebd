// Foreign text to a JSON tree, with limits: depth, size of trees, duplicate keys, YAML's aliases.
#include <optional>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>
#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "common/model/codec.hpp"
#include "common/model/format.hpp"

namespace axle {
namespace {

using nlohmann::json;
constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kNodesMax = 100'000;
constexpr std::size_t kSurveyMax = 2 * kNodesMax;  // keys are counted there as well

// nlohmann's own message: "[json.exception.parse_error.101] parse error at line 1, column 3: syntax error ...".
std::string reason_of(const json::exception& e) {
    std::string_view text = e.what();
    if (const auto end = text.find("] "); end != std::string_view::npos) text.remove_prefix(end + 2);
    return std::string(text.substr(0, 200));
}

struct YamlReader {
    std::size_t nodes = 0;

    static std::string place(const YAML::Mark& mark) {
        return fmt::format("line {}, column {}", mark.line + 1, mark.column + 1);
    }

    Result<json> read(const YAML::Node& node, std::size_t depth) {
        if (depth > kDepthMax)
            return fail(Code::malformed, "YAML {}: deeper than {} levels", place(node.Mark()), kDepthMax);
        if (++nodes > kNodesMax) return fail(Code::too_large, "YAML has more than {} nodes", kNodesMax);
        switch (node.Type()) {
            case YAML::NodeType::Scalar:
                return json(node.Scalar());
            case YAML::NodeType::Sequence: {
                json list = json::array();
                for (const auto& item : node) {
                    TRY(value, read(item, depth + 1));
                    list.push_back(std::move(value));
                }
                return list;
            }
            case YAML::NodeType::Map:
                return read_map(node, depth);
            default:
                return json(nullptr);
        }
    }

    Result<json> read_map(const YAML::Node& node, std::size_t depth) {
        json object = json::object();
        for (const auto& entry : node) {
            if (!entry.first.IsScalar())
                return fail(Code::malformed, "YAML {}: a key must be plain text", place(entry.first.Mark()));
            const std::string& key = entry.first.Scalar();
            if (object.contains(key))
                return fail(Code::malformed, "YAML {}: \"{}\" stands twice", place(entry.first.Mark()), key);
            TRY(value, read(entry.second, depth + 1));
            object[key] = std::move(value);
        }
        return object;
    }
};

// Aliases can blow a small text up to any size, and deep nesting exhausts the stack inside the parser: both are refused
// on the text's tokens, before a tree is built.
Result<> check_yaml_text(std::string_view text) {
    std::size_t flow = 0, indent_steps = 0;
    bool quoted = false;
    char quote = 0, previous = '\n';
    for (char c : text) {
        if (quoted) {
            if (c == quote && previous != '\\') quoted = false;
        } else if ((c == '"' || c == '\'') && (previous == ' ' || previous == ':' || previous == '[' ||
                                               previous == '{' || previous == ',' || previous == '\n')) {
            quoted = true;
            quote = c;
        } else if (c == '[' || c == '{') {
            if (++flow > kDepthMax) return fail(Code::malformed, "YAML is deeper than {} levels", kDepthMax);
        } else if ((c == ']' || c == '}') && flow > 0) {
            --flow;
        }
        if (c == '\n') indent_steps = 0;
        if ((c == '-' || c == '?' || c == ':') && ++indent_steps > 256)
            return fail(Code::malformed, "YAML nests too much in one line");
        previous = c;
    }
    return {};
}

// What must be known before a tree is built of the text.
class Surveyor : public YAML::EventHandler {
  public:
    struct TooMany {};  // thrown through the parser: what comes after is not looked at
    bool has_alias = false;
    std::size_t depth = 0, deepest = 0;
    // The parser makes no step on a bracket that closes nothing: it gives one empty document after another there.
    std::optional<YAML::Mark> stuck_at;
    void OnDocumentStart(const YAML::Mark& mark) override {
        if (begun_ && *begun_ == mark.pos) stuck_at = mark;
        begun_ = mark.pos;
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override { count(); }
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override { has_alias = true; }
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override { count(); }
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
        open();
    }
    void OnSequenceEnd() override { --depth; }
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
        open();
    }
    void OnMapEnd() override { --depth; }

  private:
    void count() {
        if (++nodes_ > kSurveyMax) throw TooMany{};
    }
    void open() {
        count();
        deepest = std::max(deepest, ++depth);
    }
    std::optional<int> begun_;
    std::size_t nodes_ = 0;
};

}  // namespace

Result<json> parse_json(std::string_view text) {
    bool too_deep = false;
    std::string twice;
    std::vector<std::set<std::string>> keys;
    const auto watch = [&](int depth, json::parse_event_t event, json& value) {
        if (static_cast<std::size_t>(depth) > kDepthMax) too_deep = true;
        if (event == json::parse_event_t::object_start) keys.emplace_back();
        if (event == json::parse_event_t::object_end && !keys.empty()) keys.pop_back();
        if (event == json::parse_event_t::key && !keys.empty() &&
            !keys.back().insert(value.get_ref<const std::string&>()).second)
            twice = value.get<std::string>();
        return !too_deep;
    };
    try {
        json parsed = json::parse(text, watch, true);
        if (too_deep) return fail(Code::malformed, "the JSON is deeper than {} levels", kDepthMax);
        if (!twice.empty())
            return fail(Code::malformed, "the JSON has the key \"{}\" twice in one object", twice.substr(0, 80));
        return parsed;
    } catch (const json::exception& e) {
        return fail(Code::malformed, "the JSON can't be read: {}", reason_of(e));
    }
}

Result<std::vector<json>> parse_yaml(std::string_view text) {
    if (!is_valid_utf8(text)) return fail(Code::malformed, "the YAML is not UTF-8");
    TRY_VOID(check_yaml_text(text));
    const std::string copy(text);
    std::vector<json> documents;
    try {
        std::istringstream events(copy);
        YAML::Parser parser(events);
        Surveyor survey;
        while (!survey.stuck_at && parser.HandleNextDocument(survey)) {
        }
        if (survey.stuck_at)
            return fail(Code::malformed, "the YAML can't be read: line {}, column {}: nothing is open that this closes",
                        survey.stuck_at->line + 1, survey.stuck_at->column + 1);
        if (survey.has_alias)
            return fail(Code::malformed, "the YAML uses aliases (*name), which are not taken: write the value out");
        if (survey.deepest > kDepthMax) return fail(Code::malformed, "the YAML is deeper than {} levels", kDepthMax);
        YamlReader reader;
        for (const YAML::Node& node : YAML::LoadAll(copy)) {
            if (node.IsNull()) continue;
            TRY(document, reader.read(node, 0));
            documents.push_back(std::move(document));
        }
    } catch (const Surveyor::TooMany&) {
        return fail(Code::too_large, "YAML has more than {} nodes", kNodesMax);
    } catch (const YAML::Exception& e) {
        return fail(Code::malformed, "the YAML can't be read: line {}, column {}: {}", e.mark.line + 1,
                    e.mark.column + 1, e.msg);
    }
    return documents;
}

}  // namespace axle
