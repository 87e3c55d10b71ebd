#include "agent/network/firewall.hpp"

#include <nftables/libnftables.h>
#include <nlohmann/json.hpp>

#include "common/base/ensure.hpp"

namespace axle {
namespace {

// A table that may or may not be there is first made, then deleted: together with what follows this is one transaction.
constexpr const char* kClear = "table inet axle\ndelete table inet axle\ntable bridge axle\ndelete table bridge axle\n";

}  // namespace

struct Firewall::Context {
    nft_ctx* ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    Context() {
        ENSURE(ctx != nullptr, "libnftables makes a context");
        nft_ctx_buffer_output(ctx);
        nft_ctx_buffer_error(ctx);
    }
    ~Context() { nft_ctx_free(ctx); }
};

Firewall::Firewall() : context_(std::make_unique<Context>()) {}
Firewall::~Firewall() = default;

Result<std::string> Firewall::run(const std::string& commands) {
    const bool done = nft_run_cmd_from_buffer(context_->ctx, commands.c_str()) == 0;
    // Getting a buffer is what empties it: both, each time.
    std::string output = nft_ctx_get_output_buffer(context_->ctx);
    const std::string words = nft_ctx_get_error_buffer(context_->ctx);
    if (done) return output;
    return fail(Code::internal, "the firewall refuses our rules: {}", words.substr(0, 400));
}

std::string Firewall::listing() {
    auto listed = run("list table inet axle\nlist table bridge axle\n");
    return listed ? std::move(*listed) : "";
}

Result<> Firewall::apply(const std::string& rules) {
    if (rules == applied_ && !listed_.empty() && listing() == listed_) return {};
    TRY_VOID(run(kClear + rules));
    applied_ = rules;
    listed_ = listing();
    return {};
}

Result<> Firewall::remove() {
    TRY_VOID(run(kClear));
    applied_.clear();
    listed_.clear();
    return {};
}

Result<std::string> Firewall::list_ruleset() {
    nft_ctx_output_set_flags(context_->ctx, NFT_CTX_OUTPUT_JSON);
    auto listed = run("list chains");
    nft_ctx_output_set_flags(context_->ctx, 0);
    return listed;
}

std::vector<ForeignBlock> foreign_blocks(const std::string& ruleset) {
    std::vector<ForeignBlock> out;
    const auto parsed = nlohmann::json::parse(ruleset, nullptr, false);
    if (!parsed.is_object() || !parsed.contains("nftables")) return out;
    bool docker = false, ufw = false, firewalld = false;
    for (const auto& item : parsed["nftables"]) {
        const auto chain = item.find("chain");
        if (chain == item.end()) continue;
        const std::string name = chain->value("name", "");
        docker = docker || name == "DOCKER-USER";
        ufw = ufw || name.starts_with("ufw-");
        firewalld = firewalld || chain->value("table", "") == "firewalld";
    }
    for (const auto& item : parsed["nftables"]) {
        const auto chain = item.find("chain");
        if (chain == item.end() || chain->value("hook", "") != "forward" || chain->value("policy", "") != "drop")
            continue;
        const std::string table = chain->value("table", ""), family = chain->value("family", "");
        if (table == "axle" || family == "ip6" || family == "bridge") continue;
        const std::string where =
            fmt::format("chain {} of table {} {} has the policy drop", chain->value("name", ""), family, table);
        if (ufw)
            out.push_back({"ufw", "ufw drops what is forwarded: " + where,
                           "ufw route allow from any to any, or: packaging/quickstart --open-firewall"});
        else if (docker)
            out.push_back(
                {"docker", "Docker drops what is forwarded: " + where,
                 "iptables -I DOCKER-USER -j ACCEPT for our bridges (axb+), or: packaging/quickstart --open-firewall"});
        else if (firewalld)
            out.push_back({"firewalld", "firewalld drops what is forwarded: " + where,
                           "put the axb interfaces into the zone trusted, or: packaging/quickstart --open-firewall"});
        else
            out.push_back({table, "a foreign firewall drops what is forwarded: " + where,
                           "allow forwarding for interfaces axb*"});
    }
    return out;
}

}  // namespace axle
