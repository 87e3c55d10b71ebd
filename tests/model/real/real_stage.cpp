#include "tests/model/real/real_stage.hpp"

#include <cstdio>
#include <iostream>
#include <thread>

#include "common/base/now.hpp"
#include "tests/support/cloud/plain_kinds.hpp"

namespace axle::test {
namespace {

constexpr milliseconds kAnswerMax{60'000}, kSettleMax{240'000}, kGoneMax{180'000}, kLook{200};
constexpr std::int64_t kPassMax = 400;  // ms between two acts: here nothing waits for simulated hours
constexpr Kind kMade[] = {Kind::portforward, Kind::vm, Kind::volume, Kind::image, Kind::network, Kind::placementgroup};

template <typename Condition>
bool wait_until(milliseconds limit, Condition&& condition) {
    const BootTime begin = boot_now();
    while (!condition()) {
        if (boot_now() - begin > limit) return false;
        std::this_thread::sleep_for(kLook);
    }
    return true;
}

std::string path_of(Kind kind, const std::string& name = "") {
    const KindInfo& info = info_of(kind);
    const std::string in = info.cluster_wide || kind == Kind::task ? "/v1/" : "/v1/projects/default/";
    return in + info.plural + (name.empty() ? "" : "/" + name);
}

// A part of an object, empty where the API left it out.
nlohmann::json part(const nlohmann::json& object, const char* name) {
    return object.value(name, nlohmann::json::object());
}

std::optional<TaskPhase> phase_of(const nlohmann::json& task) {
    const std::string said = part(task, "status").value("phase", "");
    for (const auto& [phase, text] : names(TaskPhase{})) {
        if (said == text) return phase;
    }
    return std::nullopt;
}

// By status: a problem's code may be a finer reason.
std::string how_of(const http::Response& response) {
    if (response.status < 300) return "ok";
    const auto problem = nlohmann::json::parse(response.body, nullptr, false);
    const std::string code = problem.is_object() ? problem.value("code", "") : "";
    if (response.status == 404) return name_of(Code::not_found);
    if (response.status == 422) return name_of(Code::invalid);
    if (response.status != 409) return fmt::format("{} {}", response.status, code);
    if (code == "quota-exceeded") return code;
    return problem.value("retryable", false) ? name_of(Code::busy) : name_of(Code::conflict);
}

// What histories say of simulated things, said of real ones: images lie at an address here; every guest has an image
// that heeds the power button (an empty disk heeds nothing, and a stop would not be what its user is owed).
// A pool's directory keeps the id of the pool that was there first: each gets its own.
void make_real(nlohmann::json& body, const std::string& images) {
    static int pools = 0;
    if (!body.is_object() || !body.contains("spec")) return;
    auto& spec = body["spec"];
    if (spec.contains("url"))
        spec["url"] = images + spec["url"].get<std::string>().substr(std::string_view("http://images").size());
    if (spec.contains("disks") && spec["disks"].contains("root")) spec["disks"]["root"] = {{"image", "debian"}};
    if (spec.contains("memory")) spec["memory"] = "64MiB";
    if (spec.contains("path")) spec["path"] = fmt::format("/var/lib/axle/pools/extra{}", ++pools);
}

}  // namespace

RealStage::RealStage(const std::string& socket, std::string images)
    : client_({.endpoint = *http::Endpoint::parse("unix:" + socket)}),
      images_(std::move(images)),
      run_(fmt::format("{}", boot_now().ms)) {}

// ---- the API

// An answer: the process may just be coming up again, so what nobody took is asked again.
http::Response RealStage::request(const std::string& method, const std::string& path, const std::string& body,
                                  const std::string& type, const std::string& key) {
    http::Headers headers;
    if (!body.empty()) headers.set("Content-Type", type);
    if (!key.empty()) headers.set("Idempotency-Key", key);
    http::Response last{.status = 0};
    wait_until(kAnswerMax, [&] {
        auto response = client_.request(method, path, headers, body);
        if (!response && response.error().code != Code::unavailable)
            trouble_ = method + path + ": " + response.error().message;
        if (!response) return !trouble_.empty();
        last = std::move(*response);
        return last.status != 503;
    });
    if (last.status == 0 && trouble_.empty()) trouble_ = "the API does not answer";
    return last;
}

http::Response RealStage::perform(const Mutation& m) {
    nlohmann::json body = m.body ? *m.body : nlohmann::json();
    const std::string text = body.is_null() ? "" : body.dump();
    switch (m.verb) {
        case Verb::create:
            make_real(body, images_);
            return request("POST", path_of(m.target.kind), body.dump(), "application/json",
                           m.idempotency_key.empty() ? "" : m.idempotency_key + run_);
        case Verb::patch:
            return request("PATCH", path_of(m.target.kind, m.target.name), text, "application/merge-patch+json");
        case Verb::remove:
            return request("DELETE", path_of(m.target.kind, m.target.name) + (m.now ? "?now=true" : ""));
        default:
            return request("POST", path_of(m.target.kind, m.target.name) + "/actions/" + m.action,
                           text.empty() ? "{}" : text);
    }
}

std::vector<nlohmann::json> RealStage::list(Kind kind, bool with_deleted) {
    const std::string path = kind == Kind::task ? "/v1/tasks" : path_of(kind);
    const auto response = request("GET", path + "?limit=1000" + (with_deleted ? "&deleted=true" : ""));
    const Json page = Json::parse(response.body, nullptr, false);
    if (response.status == 200 && page.is_object()) return page.value("items", std::vector<Json>{});
    if (trouble_.empty()) trouble_ = fmt::format("GET {}: {} {}", path, response.status, response.body);
    return {};
}

std::optional<nlohmann::json> RealStage::find(Kind kind, const std::string& name) {
    for (Json& object : list(kind)) {
        if (object.value("name", "") == name) return std::move(object);
    }
    return std::nullopt;
}

// ---- acts

class RealStage::Names final : public Subjects {
  public:
    explicit Names(RealStage& stage) : stage_(stage) {}
    std::optional<Uuid> deleted(Kind kind, const std::string& name) const override {
        std::optional<Uuid> newest;
        for (const Json& object : stage_.list(kind, true)) {
            if (object.value("name", "") != name || !object.contains("deletion")) continue;
            const auto id = Uuid::parse(object.value("id", ""));
            if (id && (!newest || *newest < *id)) newest = id;
        }
        return newest;
    }
    std::vector<Uuid> open_tasks() const override {
        std::vector<Uuid> open;
        for (const Json& task : stage_.list(Kind::task)) {
            const auto phase = phase_of(task);
            if (const auto id = Uuid::parse(task.value("id", "")); id && phase && !is_terminal(*phase))
                open.push_back(*id);
        }
        return open;
    }
    std::string host(int) const override {
        const auto hosts = stage_.list(Kind::host);
        return hosts.empty() ? "none" : hosts.front().value("name", "");
    }

  private:
    RealStage& stage_;
};

std::optional<Stage::Answer> RealStage::ask(const Act& act) {
    const auto mutation = mutation_of(Names(*this), act);
    if (!mutation || !trouble_.empty()) return std::nullopt;
    const http::Response response = perform(*mutation);
    Answer answer{.how = how_of(response)};
    const Json body = Json::parse(response.body, nullptr, false);
    if (answer.how != "ok") answer.why = response.body;
    if (body.is_object()) answer.taken.object = Uuid::parse(body.value("id", "")).value_or(Uuid{});
    answer.taken.replayed = response.headers.has("Idempotent-Replayed");
    const Json disks = body.is_object() ? part(part(body, "spec"), "disks") : Json();
    for (const auto& [name, disk] : disks.items())
        if (disk.is_object()) answer.taken.disks[name] = disk.value("volume", "");
    return answer;
}

std::string RealStage::tell(const std::string& order) {
    std::cout << "order: " << order << std::endl;
    std::string answer;
    if (!std::getline(std::cin, answer)) trouble_ = "nobody answers orders";
    return answer;
}

void RealStage::befall(const Act& act) {
    const bool guest = act.verb == "guest-down" || act.verb == "guest-crash" || act.verb == "virsh-destroy";
    std::string order;
    if (guest) {
        const auto vm = find(Kind::vm, vm_name(act.subject));
        if (vm) order = act.verb + " " + vm->value("id", "");
    } else if (act.verb == "power-cut" || act.verb == "unmount") {
        order = "power-cut";
    } else if (act.verb == "freeze" || act.verb == "silence") {
        order = "freeze";
    } else if (act.verb == "partition") {
        order = "libvirtd-crash";
    } else if (act.verb != "wall-jump" && act.verb != "slow-wire" && act.verb != "state-full") {
        order = "kill";
    }
    if (order.empty()) return;
    if (const std::string answer = tell(order); answer != "done") trouble_ = order + ": " + answer;
}

void RealStage::pass(std::int64_t ms) {
    std::this_thread::sleep_for(milliseconds{std::min(ms / 20, kPassMax)});
}

std::string RealStage::phase(Kind kind, const std::string& name) {
    const auto object = find(kind, name);
    return object ? part(*object, "status").value("phase", "pending") : "none";
}

// ---- the end

std::string RealStage::unsettled_vm(const Json& vm) const {
    const std::string name = "vm " + vm.value("name", ""), power = part(vm, "spec").value("power", "");
    const Json status = part(vm, "status");
    const std::string phase = status.value("phase", "pending");
    if (!status.contains("placement"))
        return phase == "waiting" || phase == "pending" ? "" : name + " is " + phase + " and has no place";
    if (status.value("observedGeneration", 0) < vm.value("generation", 0)) return name + " is behind its generation";
    // A guest that has shut itself down stays off, whatever was wished of it before.
    if (phase == "stopped" || phase == power) return "";
    return fmt::format("{} is {} and should be {}", name, phase, power);
}

std::string RealStage::unsettled() {
    for (const Json& task : list(Kind::task)) {
        const auto phase = phase_of(task);
        if (!phase || is_terminal(*phase) || *phase == TaskPhase::waiting) continue;  // for room, or its first VM
        return fmt::format("task {} of {} is {}", part(task, "spec").value("goal", ""),
                           part(part(task, "spec"), "target").dump(), text_of(*phase));
    }
    for (const Json& vm : list(Kind::vm)) {
        if (auto why = unsettled_vm(vm); !why.empty()) return why;
    }
    return trouble_;
}

std::string RealStage::settle() {
    tell("settle");
    std::string why;
    wait_until(kSettleMax, [&] { return (why = unsettled()).empty() || !trouble_.empty(); });
    return why.empty() ? "" : "not converged: " + why;
}

Seen RealStage::seen() {
    Seen seen;
    const auto names = [this](Kind kind) {
        std::set<std::string> all;
        for (const Json& object : list(kind)) all.insert(object.value("name", ""));
        return all;
    };
    for (const Json& vm : list(Kind::vm)) {
        const Json spec = part(vm, "spec");
        Seen::SeenVm& as = seen.vms[vm.value("name", "")];
        as.power = spec.value("power", "");
        as.is_protected = spec.value("deletionProtection", false);
        const Json disks = part(spec, "disks"), nics = part(spec, "nics");
        for (const auto& [disk, d] : disks.items()) as.disks[disk] = d.value("volume", "");
        for (const auto& [nic, n] : nics.items()) as.nics.insert(nic);
    }
    for (const Json& volume : list(Kind::volume))
        seen.volumes[volume.value("name", "")] = part(volume, "status").value("attachedTo", "");
    seen.networks = names(Kind::network);
    seen.images = names(Kind::image);
    seen.forwards = names(Kind::portforward);
    for (const PlainKind& plain : plain_kinds()) {
        for (const std::string& name : names(plain.kind)) {
            if (is_plain_name(plain.prefix, name)) seen.plain[plain.prefix].insert(name);
        }
    }
    return seen;
}

std::string RealStage::plain_thing_left() {
    const std::string host = Names(*this).host(0);
    request("PATCH", path_of(Kind::host, host), R"({"spec":{"zone":null}})", "application/merge-patch+json");
    std::string left;
    for (const PlainKind& plain : plain_kinds()) {
        for (const Json& object : list(plain.kind)) {
            const std::string name = object.value("name", "");
            if (!is_plain_name(plain.prefix, name)) continue;
            if (request("DELETE", path_of(plain.kind, name)).status >= 300)
                left = fmt::format("{} {} is not gone after its deletion", text_of(plain.kind), name);
        }
    }
    return left;
}

std::string RealStage::what_is_left() {
    for (const Kind kind : kMade) {
        for (const Json& object : list(kind, true)) {
            const std::string at = path_of(kind, object.value("id", ""));
            request("PATCH", at, R"({"spec":{"deletionProtection":false}})", "application/merge-patch+json");
            request("DELETE", at + "?now=true");
        }
    }
    for (const Kind kind : kMade) {
        if (const auto left = list(kind, true); !left.empty())
            return fmt::format("{} {} is not gone after its deletion", text_of(kind), left.front().value("name", ""));
    }
    if (const std::string left = plain_thing_left(); !left.empty()) return left;
    const std::string answer = tell("left");  // of furniture and files
    return answer == "nothing" ? trouble_ : answer;
}

std::string RealStage::clear_away() {
    std::string left;
    wait_until(kGoneMax, [&] { return (left = what_is_left()).empty() || !trouble_.empty(); });
    return left;
}

std::string RealStage::furnish() {
    const auto must = [this](const Mutation& mutation) {
        const auto response = perform(mutation);
        if (response.status >= 300) trouble_ = fmt::format("furnishing: {} {}", response.status, response.body);
    };
    must(Cloud::create(Kind::image, "default", R"({"name":"debian","spec":{"url":"http://images/good"}})"));
    must(Cloud::create(Kind::network, "default", R"({"name":"blue","spec":{"cidr":"10.90.1.0/24"}})"));
    must(Cloud::create(Kind::placementgroup, "default", R"({"name":"apart"})"));
    must(Cloud::patch(Kind::project, "", "default", R"({"spec":{"limits":{"vms":null}}})"));
    must(Cloud::act(Kind::host, "", Names(*this).host(0), "uncordon"));
    const bool ready = wait_until(kAnswerMax, [this] {
        const auto image = find(Kind::image, "debian");
        return !trouble_.empty() || (image && part(*image, "status").value("phase", "") == "ready");
    });
    return ready ? trouble_ : "the image is not ready";
}

}  // namespace axle::test
