#include "agent/network/firewall.hpp"

#include <nftables/libnftables.h>

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
    // One by one: libnftables 1.0.6 looks into one family only for all commands of a run.
    const auto inet = run("list table inet axle"), bridge = run("list table bridge axle");
    if (!inet || !bridge) return "";
    std::string listed = *inet + *bridge;
    // Who asked for DHCP lately comes and goes by itself.
    const auto counted = listed.find("set axle_dhcp_askers {");
    if (counted != std::string::npos) listed.erase(counted, listed.find("\n\t}", counted) - counted);
    return listed;
}

Result<bool> Firewall::apply(const std::string& rules) {
    if (rules == applied_ && !listed_.empty() && listing() == listed_) return false;
    TRY_VOID(run(kClear + rules));
    applied_ = rules;
    listed_ = listing();
    return true;
}

Result<> Firewall::remove() {
    TRY_VOID(run(kClear));
    applied_.clear();
    listed_.clear();
    return {};
}

Result<std::string> Firewall::list_ruleset() {
    nft_ctx_output_set_flags(context_->ctx, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_TERSE);
    auto listed = run("list ruleset");
    nft_ctx_output_set_flags(context_->ctx, 0);
    return listed;
}

}  // namespace axle
