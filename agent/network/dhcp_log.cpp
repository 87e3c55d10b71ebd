#include "agent/network/dhcp_log.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <map>

#include "common/model/format.hpp"

namespace axle {
namespace {

// A question so long after its answer is of the guest's next run, or of its next round.
constexpr milliseconds kAgain{2'000};
// No lease is said to end later; its milliseconds are still a number.
constexpr std::uint64_t kLastSecond = 253'402'300'799;  // of the year 9999

std::string_view next_line(std::string_view& text) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

std::string_view next_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    return word;
}

bool is_mac(std::string_view word) {
    return !why_not(Format::mac, std::string(word));
}

// Of "Nov 23 06:48:58 ..."; 0: it is none.
WallTime time_of(std::string_view line, WallTime now) {
    const std::string text(line.substr(0, 15));
    const std::time_t seconds_now = now.ms / 1000;
    std::tm fields{}, today{};
    ::localtime_r(&seconds_now, &today);
    const char* end = ::strptime(text.c_str(), "%b %d %H:%M:%S", &fields);
    if (end == nullptr || *end != '\0') return {};
    fields.tm_year = today.tm_year;
    fields.tm_isdst = -1;
    std::tm this_year = fields;
    std::time_t at = std::mktime(&this_year);
    if (at > seconds_now + 86'400) {
        fields.tm_year -= 1;
        at = std::mktime(&fields);
    }
    return {at < 0 ? 0 : static_cast<std::int64_t>(at) * 1000};
}

// What stands behind "Mon DD HH:MM:SS dnsmasq-dhcp[PID]: ", with its leading transaction number taken off.
std::string_view dhcp_message(std::string_view line) {
    for (int i = 0; i < 3; ++i) next_word(line);
    const std::string_view program = next_word(line);
    if (!program.starts_with("dnsmasq-dhcp[") || !program.ends_with("]:")) return {};
    std::string_view rest = line;
    const std::string_view first = next_word(rest);
    const bool number =
        !first.empty() && std::ranges::all_of(first, [](unsigned char c) { return std::isdigit(c) != 0; });
    return number ? rest : line;
}

}  // namespace

std::vector<Lease> read_dhcp_log(std::string_view log, WallTime now) {
    std::map<std::string, Lease> by_mac;
    while (!log.empty()) {
        const std::string_view line = next_line(log);
        std::string_view words = dhcp_message(line);
        const std::string_view verb = next_word(words);
        const bool answered = verb.starts_with("DHCPACK(");
        if (!answered && !verb.starts_with("DHCPDISCOVER(") && !verb.starts_with("DHCPREQUEST(")) continue;
        // "[address] mac ...": the address may be missing in a DISCOVER, what follows the MAC is the guest's.
        std::string_view word = next_word(words);
        const auto address = parse_ipv4(std::string(word));
        if (address) word = next_word(words);
        if (!is_mac(word) || (answered && !address)) continue;
        Lease& lease = by_mac[std::string(word)];
        lease.mac = word;
        if (answered)
            lease = {lease.mac, format_ipv4(*address), DhcpStage::answered, time_of(line, now)};
        else if (lease.stage != DhcpStage::answered || lease.at.ms + kAgain.count() < time_of(line, now).ms)
            lease = {lease.mac, "", DhcpStage::asked, time_of(line, now)};
    }
    std::vector<Lease> out;
    for (auto& [mac, lease] : by_mac) out.push_back(std::move(lease));
    return out;
}

std::vector<Lease> read_lease_file(std::string_view text) {
    std::vector<Lease> out;
    while (!text.empty()) {
        std::string_view words = next_line(text);
        const std::string_view expiry = next_word(words);
        const std::string mac(next_word(words)), address(next_word(words));
        std::uint64_t expires = 0;
        std::from_chars(expiry.data(), expiry.data() + expiry.size(), expires);
        const std::int64_t given =
            std::max<std::int64_t>(static_cast<std::int64_t>(std::min(expires, kLastSecond)) - kLeaseTime.count(), 0);
        if (is_mac(mac) && parse_ipv4(address)) out.push_back({mac, address, DhcpStage::answered, {given * 1000}});
    }
    return out;
}

std::vector<Lease> join_leases(std::vector<Lease> from_log, const std::vector<Lease>& from_file) {
    for (const Lease& lease : from_file) {
        const auto found = std::ranges::find(from_log, lease.mac, &Lease::mac);
        if (found == from_log.end())
            from_log.push_back(lease);
        else if (found->stage != DhcpStage::answered && found->at <= lease.at)
            *found = lease;
    }
    return from_log;
}

}  // namespace axle
