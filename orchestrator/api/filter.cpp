#include "orchestrator/api/filter.hpp"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "common/base/units.hpp"

namespace axle::api {
namespace {

using Test = Filter::Test;
using Condition = Filter::Condition;
using Wanted = Filter::Wanted;

constexpr std::size_t kTextMax = 4096;
constexpr std::size_t kConditionsMax = 32;
constexpr std::size_t kValuesMax = 256;

template <typename... Args>
Error bad(fmt::format_string<Args...> text, Args&&... args) {
    return error(Code::invalid, "the filter: {}", fmt::format(text, std::forward<Args>(args)...))
        .with_reason("bad-filter")
        .with_hint("for example: status.phase=running,labels.tier in (web,db),spec.cpus>=4,name!=x");
}

struct Scanner {
    std::string_view text;
    std::size_t at = 0;

    void skip_spaces() {
        while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
    }
    bool done() { return skip_spaces(), at >= text.size(); }
    bool take(std::string_view word) {
        skip_spaces();
        if (!text.substr(at).starts_with(word)) return false;
        at += word.size();
        return true;
    }
    // A word of letters, followed by something else.
    bool take_word(std::string_view word) {
        const std::size_t before = at;
        if (take(word) && (at >= text.size() || text[at] == ' ' || text[at] == '(')) return true;
        return at = before, false;
    }
    static bool in_path(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-' || c == '/' || c == '*';
    }
    std::string_view path() {
        skip_spaces();
        const std::size_t from = at;
        while (at < text.size() && in_path(text[at])) ++at;
        return text.substr(from, at - from);
    }
    Result<std::string> value(std::string_view ends) {
        skip_spaces();
        std::string out;
        if (at < text.size() && text[at] == '"') {
            for (++at; at < text.size() && text[at] != '"'; ++at) {
                if (text[at] == '\\' && at + 1 < text.size()) ++at;
                out += text[at];
            }
            if (at >= text.size()) return fail(bad("a quote is not closed"));
            return ++at, out;
        }
        while (at < text.size() && ends.find(text[at]) == std::string_view::npos) out += text[at++];
        while (out.ends_with(' ')) out.pop_back();
        return out;
    }
};

std::optional<double> as_number(std::string_view text, const Leaf& leaf) {
    if (leaf.options.unit == Unit::bytes) {
        const auto bytes = parse_bytes(text);
        return bytes ? std::optional(static_cast<double>(*bytes)) : std::nullopt;
    }
    if (leaf.options.unit == Unit::duration) {
        if (const auto d = parse_duration(text)) return static_cast<double>(d->count());
    }
    if (leaf.options.unit == Unit::time) {
        const auto t = parse_time(text);
        return t ? std::optional(static_cast<double>(t->ms)) : std::nullopt;
    }
    double number = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
    return number;
}

// What the field's type takes: a word that it can never have is a mistake, not an empty answer.
Result<Wanted> wanted_of(std::string text, const Leaf& leaf, std::string_view path, Test test) {
    const Shape shape = leaf.type == nullptr ? Shape::text : leaf.type->shape;
    Wanted wanted{.text = std::move(text), .number = std::nullopt};
    if (shape == Shape::integer || shape == Shape::number || leaf.options.unit == Unit::time) {
        wanted.number = as_number(wanted.text, leaf);
        if (!wanted.number && test != Test::contains)
            return fail(bad("{} is a {}, \"{}\" is none", path,
                            leaf.options.unit == Unit::bytes      ? "size (2GiB)"
                            : leaf.options.unit == Unit::duration ? "duration (90s)"
                            : leaf.options.unit == Unit::time     ? "time (2026-01-31T12:00:00Z)"
                                                                  : "number",
                            wanted.text));
        return wanted;
    }
    const bool ordered = test != Test::equal && test != Test::not_equal && test != Test::contains;
    if (ordered) return fail(bad("{} has no order: only =, !=, in, notin and ~ make sense", path));
    if (shape == Shape::boolean && wanted.text != "true" && wanted.text != "false")
        return fail(bad("{} is true or false, not \"{}\"", path, wanted.text));
    if (shape == Shape::choice && test != Test::contains) {
        const auto& known = leaf.type->choices;
        if (std::ranges::none_of(known, [&](const char* c) { return wanted.text == c; }))
            return fail(bad("{} is one of {}; never \"{}\"", path, fmt::join(known, ", "), wanted.text));
    }
    return wanted;
}

Result<Leaf> leaf_of(const Path& path, const std::vector<const KindInfo*>& kinds) {
    Error first;
    for (const KindInfo* kind : kinds) {
        auto leaf = resolve(*kind, path);
        if (leaf) return leaf;
        if (first.message.empty()) first = std::move(leaf.error());
    }
    Error e = bad("{}", first.message);
    if (!first.hint.empty()) e.hint = first.hint;
    return fail(std::move(e));
}

std::optional<Test> take_operator(Scanner& in) {
    static constexpr std::pair<std::string_view, Test> kOperators[] = {
        {"==", Test::equal}, {"!=", Test::not_equal}, {">=", Test::greater_equal}, {"<=", Test::less_equal},
        {"=", Test::equal},  {">", Test::greater},    {"<", Test::less},           {"~", Test::contains}};
    for (const auto& [text, test] : kOperators) {
        if (in.take(text)) return test;
    }
    return std::nullopt;
}

Result<> read_set(Scanner& in, Condition& condition, const Leaf& leaf, std::string_view path) {
    if (!in.take("(")) return fail(bad("after 'in' a list in parentheses is expected: {} in (a,b)", path));
    do {
        TRY(text, in.value(",)"));
        TRY(wanted, wanted_of(std::move(text), leaf, path, condition.test));
        condition.wanted.push_back(std::move(wanted));
        if (condition.wanted.size() > kValuesMax) return fail(bad("more than {} values in one list", kValuesMax));
    } while (in.take(","));
    if (!in.take(")")) return fail(bad("the list after {} is not closed", path));
    return {};
}

Result<Condition> read_condition(Scanner& in, const std::vector<const KindInfo*>& kinds) {
    Condition condition;
    const bool negated = in.take("!");
    const std::string_view path = in.path();
    if (path.empty()) return fail(bad("at character {} a field such as status.phase is expected", in.at + 1));
    condition.path = split_path(path);
    TRY(leaf, leaf_of(condition.path, kinds));
    condition.is_time = leaf.options.unit == Unit::time;
    if (negated) return condition.test = Test::absent, condition;
    if (in.take_word("in")) {
        condition.test = Test::equal;
        TRY_VOID(read_set(in, condition, leaf, path));
        return condition;
    }
    if (in.take_word("notin")) {
        condition.test = Test::not_equal;
        TRY_VOID(read_set(in, condition, leaf, path));
        return condition;
    }
    const auto test = take_operator(in);
    if (!test) return condition;
    condition.test = *test;
    TRY(text, in.value(","));
    TRY(wanted, wanted_of(std::move(text), leaf, path, *test));
    condition.wanted.push_back(std::move(wanted));
    return condition;
}

std::optional<double> number_in(const Scalar& value, bool is_time) {
    if (const auto* i = std::get_if<std::int64_t>(&value)) return static_cast<double>(*i);
    if (const auto* d = std::get_if<double>(&value)) return *d;
    if (const auto* text = std::get_if<std::string>(&value); text != nullptr && is_time) {
        if (const auto t = parse_time(*text)) return static_cast<double>(t->ms);
    }
    return std::nullopt;
}

std::string text_in(const Scalar& value) {
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    if (const auto* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
    if (const auto* i = std::get_if<std::int64_t>(&value)) return std::to_string(*i);
    if (const auto* d = std::get_if<double>(&value)) return fmt::format("{}", *d);
    return {};
}

bool holds(Test test, const Scalar& value, const Wanted& wanted, bool is_time) {
    if (test == Test::contains) return text_in(value).find(wanted.text) != std::string::npos;
    const auto number = number_in(value, is_time);
    if (!number || !wanted.number) return test == Test::equal && text_in(value) == wanted.text;
    switch (test) {
        case Test::less:
            return *number < *wanted.number;
        case Test::less_equal:
            return *number <= *wanted.number;
        case Test::greater:
            return *number > *wanted.number;
        case Test::greater_equal:
            return *number >= *wanted.number;
        default:
            return *number == *wanted.number;
    }
}

template <typename Where>
bool meets(const Condition& condition, const Where& object) {
    bool any = false, fits = false;
    const Test test = condition.test == Test::not_equal ? Test::equal : condition.test;
    values_at(object, condition.path, [&](const Scalar& value) {
        any = true;
        fits = fits || std::ranges::any_of(condition.wanted, [&](const Wanted& wanted) {
                   return holds(test, value, wanted, condition.is_time);
               });
    });
    if (condition.test == Test::present) return any;
    if (condition.test == Test::absent) return !any;
    return condition.test == Test::not_equal ? !fits : fits;
}

}  // namespace

Result<Filter> Filter::parse(std::string_view text, const std::vector<const KindInfo*>& kinds) {
    Filter filter;
    if (text.size() > kTextMax) return fail(bad("is longer than {} characters", kTextMax));
    Scanner in{text};
    while (!in.done()) {
        TRY(condition, read_condition(in, kinds));
        filter.conditions_.push_back(std::move(condition));
        if (filter.conditions_.size() > kConditionsMax) return fail(bad("has more than {} conditions", kConditionsMax));
        if (in.done()) break;
        if (!in.take(",")) return fail(bad("at character {} a comma is expected", in.at + 1));
        if (in.done()) return fail(bad("ends with a comma"));
    }
    return filter;
}

bool Filter::matches(const Object& object) const {
    return std::ranges::all_of(conditions_, [&](const Condition& c) { return meets(c, object); });
}

bool Filter::matches(const nlohmann::json& object) const {
    return std::ranges::all_of(conditions_, [&](const Condition& c) { return meets(c, object); });
}

}  // namespace axle::api
