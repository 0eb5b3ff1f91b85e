// SPDX-License-Identifier: MIT
// Importing accounts from lines "user@domain password", or from what another server keeps instead of a password (RFC 5802
// §3): "user@domain SCRAM-SHA-1 ITERATIONS SALT STOREDKEY SERVERKEY", the last three in base 64; SHA-256 and SHA-512
// likewise. The hashes that are missing then come with XEP-0480. Hashing a password takes milliseconds, so as many are hashed at
// once as there are cores; the accounts of one part of the file are stored together. Logins that happen meanwhile find
// the hash pool's queue short.
#include <charconv>
#include <coroutine>
#include <set>
#include <thread>

#include "auth/crypto.h"
#include "auth/hash_pool.h"
#include "auth/scram.h"
#include "server/admin/groups.h"
#include "server/server.h"
#include "xmpp/base64.h"

namespace server::admin {
namespace {

using storage::Task;

constexpr std::size_t salt_bytes = 16;
constexpr std::size_t longest_password = 1024, longest_salt = 255;
constexpr std::uint32_t most_iterations = 10'000'000;

struct Entry {
    xmpp::Jid jid;
    std::string password;   // prepared (RFC 8265 §4); empty: there are verifiers
    std::int64_t line = 0;
    std::uint32_t iterations = 0;
    std::string salt;
    storage::Verifiers verifiers;
};

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
        if (end > 0) words.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

// Whether the words behind the address are verifiers; then they are put into the entry, or the reason why they are none.
bool read_verifiers(std::string_view text, Entry& entry, std::string& problem) {
    const auto words = words_of(text);
    std::string name{words.empty() ? std::string_view{} : words.front()};
    for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const auto mechanism = auth::parse_scram_mechanism(name);
    if (!mechanism || mechanism->plus) return false;
    problem = "a mechanism must be followed by iterations, salt, StoredKey and ServerKey, the last three in base 64";
    if (words.size() != 5) return true;
    const auto [end, error] = std::from_chars(words[1].data(), words[1].data() + words[1].size(), entry.iterations);
    const auto salt = xmpp::parse_base64(words[2]), stored = xmpp::parse_base64(words[3]), server = xmpp::parse_base64(words[4]);
    const std::size_t size = auth::digest_size(mechanism->hash);
    if (error != std::errc{} || end != words[1].data() + words[1].size() || entry.iterations == 0 || entry.iterations > most_iterations) return true;
    if (!salt || salt->empty() || salt->size() > longest_salt || !stored || stored->size() != size || !server || server->size() != size) return true;
    entry.salt = *salt;
    entry.verifiers[static_cast<std::size_t>(mechanism->hash)] = {*stored, *server};
    problem.clear();
    return true;
}

// Either an entry or why the line is none; never what stands in it.
xmpp::Result<Entry, std::string> read_line(const Config& config, std::string_view line, std::int64_t number) {
    const std::size_t gap = line.find_first_of(" \t");
    if (gap == std::string_view::npos) return xmpp::Failure{std::string{"must be an address, a space and a password"}};
    const auto jid = xmpp::Jid::parse(line.substr(0, gap));
    if (!jid || !jid->is_bare() || jid->localpart().empty()) return xmpp::Failure{std::string{"does not begin with an address like romeo@example.org"}};
    if (!config.is_local(jid->domainpart())) return xmpp::Failure{"\"" + std::string{jid->domainpart()} + "\" is none of this server's domains"};
    const std::string_view password = line.substr(gap + 1);
    Entry entry{*jid, {}, number, 0, {}, {}};
    std::string problem;
    if (read_verifiers(password, entry, problem)) {
        if (!problem.empty()) return xmpp::Failure{std::move(problem)};
        return entry;
    }
    auto prepared = password.size() > longest_password ? std::nullopt : xmpp::opaque_string(password);
    if (!prepared || prepared->empty()) return xmpp::Failure{std::string{"the password is empty, too long, or holds characters that RFC 8265 does not allow"}};
    entry.password = std::move(*prepared);
    return entry;
}

// Several coroutines ("lanes") take the next entry each until none is left; the last one to end wakes who waits.
struct Hashing {
    Hashing(auth::HashPool& p, std::vector<Entry> e, std::uint32_t i) : pool{p}, entries{std::move(e)}, iterations{i} {}
    auth::HashPool& pool;
    std::vector<Entry> entries;
    std::uint32_t iterations;
    std::vector<storage::Account> accounts;
    std::size_t next = 0;
    std::size_t lanes = 0;
    bool busy = false;
    std::exception_ptr exception;
    std::coroutine_handle<> waiting;

    bool await_ready() const noexcept { return lanes == 0; }
    void await_suspend(std::coroutine_handle<> coroutine) noexcept { waiting = coroutine; }
    void await_resume() const { if (exception) std::rethrow_exception(exception); }
};

storage::Account account_of(const Entry& entry, std::string salt, std::uint32_t iterations, storage::Verifiers verifiers, storage::Time now) {
    storage::Account account;
    account.jid = entry.jid;
    account.salt = std::move(salt);
    account.iterations = iterations;
    account.created = now;
    storage::Device device;
    device.id = auth::random_token(9);
    device.name = "password";
    device.role = storage::DeviceRole::password;
    device.verifiers = std::move(verifiers);
    device.created = device.last_seen = now;
    account.devices.push_back(std::move(device));
    return account;
}

Task<void> run_lane(Hashing& hashing, storage::Time now) {
    while (hashing.next < hashing.entries.size() && !hashing.busy) {
        Entry& entry = hashing.entries[hashing.next++];
        if (!entry.salt.empty()) {
            hashing.accounts.push_back(account_of(entry, entry.salt, entry.iterations, std::move(entry.verifiers), now));
            continue;
        }
        std::string salt = auth::random_bytes(salt_bytes);
        auto deriving = hashing.pool.derive(entry.password, salt, hashing.iterations);
        auto verifiers = co_await deriving;
        auth::wipe(entry.password);
        if (!verifiers) hashing.busy = true;
        else hashing.accounts.push_back(account_of(entry, std::move(salt), hashing.iterations, std::move(*verifiers), now));
    }
}

void start_lanes(Hashing& hashing, storage::Time now) {
    const std::size_t wanted = std::min<std::size_t>(hashing.entries.size(), std::max(2u, std::thread::hardware_concurrency()) * 2);
    hashing.lanes = wanted;
    for (std::size_t lane = 0; lane < wanted; ++lane)
        storage::detach(run_lane(hashing, now), [&hashing](const std::exception_ptr& exception) {
            if (exception) hashing.exception = exception;
            if (--hashing.lanes == 0 && hashing.waiting) std::exchange(hashing.waiting, nullptr).resume();
        });
}

}  // namespace

Task<Answer> import_accounts(Context& context, Arguments arguments) {
    const auto config = context.server.config();
    std::int64_t number = arguments.number("first_line").value_or(1);
    std::vector<Entry> entries;
    std::set<std::string> seen;
    Json problems = Json::array();
    for (const Json& value : arguments.lines("file")) {
        std::string_view line = value.get_ref<const std::string&>();
        while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
        const std::int64_t here = number++;
        if (line.empty() || line.front() == '#') continue;
        auto entry = read_line(*config, line, here);
        if (entry && !seen.insert(entry->jid.text()).second) entry = xmpp::Failure{std::string{"the account was named before"}};
        if (entry) entries.push_back(std::move(*entry));
        else problems.push_back({{"line", here}, {"problem", entry.error()}});
    }

    const std::size_t wanted = entries.size();
    const bool has_verifiers = std::ranges::any_of(entries, [](const Entry& entry) { return !entry.salt.empty(); });
    const auto iterations = static_cast<std::uint32_t>(arguments.number("iterations").value_or(config->auth.iterations));
    Hashing hashing{context.server.hashes(), std::move(entries), iterations};
    start_lanes(hashing, context.server.clock().wall());
    co_await hashing;
    if (hashing.busy) co_return failure(Problem::Kind::busy, "too many passwords wait to be hashed; try again");

    auto creating = context.server.storage().accounts().create_all(std::move(hashing.accounts));
    const auto made = co_await creating;
    if (!made) co_return failure_of(made.error());
    if (has_verifiers) {
        auto looking = context.server.read_partial_accounts();
        const auto looked = co_await looking;
        if (!looked) co_return failure_of(looked.error());
    }
    co_return Json{{"added", *made}, {"existed", wanted - *made}, {"refused", problems.size()}, {"problems", std::move(problems)}};
}

}  // namespace server::admin
