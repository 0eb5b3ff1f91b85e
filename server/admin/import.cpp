// SPDX-License-Identifier: MIT
// Importing accounts from lines "user@domain password". Hashing a password takes milliseconds, so as many are hashed at
// once as there are cores; the accounts of one part of the file are stored together. Logins that happen meanwhile find
// the hash pool's queue short.
#include <coroutine>
#include <set>
#include <thread>

#include "auth/crypto.h"
#include "auth/hash_pool.h"
#include "server/admin/groups.h"
#include "server/server.h"

namespace server::admin {
namespace {

using storage::Task;

constexpr std::size_t salt_bytes = 16;
constexpr std::size_t longest_password = 1024;

struct Entry {
    xmpp::Jid jid;
    std::string password;   // prepared (RFC 8265 §4)
    std::int64_t line;
};

// Either an entry or why the line is none; never what stands in it.
xmpp::Result<Entry, std::string> read_line(const Config& config, std::string_view line, std::int64_t number) {
    const std::size_t gap = line.find_first_of(" \t");
    if (gap == std::string_view::npos) return xmpp::Failure{std::string{"must be an address, a space and a password"}};
    const auto jid = xmpp::Jid::parse(line.substr(0, gap));
    if (!jid || !jid->is_bare() || jid->localpart().empty()) return xmpp::Failure{std::string{"does not begin with an address like romeo@example.org"}};
    if (!config.is_local(jid->domainpart())) return xmpp::Failure{"\"" + std::string{jid->domainpart()} + "\" is none of this server's domains"};
    const std::string_view password = line.substr(gap + 1);
    auto prepared = password.size() > longest_password ? std::nullopt : xmpp::opaque_string(password);
    if (!prepared || prepared->empty()) return xmpp::Failure{std::string{"the password is empty, too long, or holds characters that RFC 8265 does not allow"}};
    return Entry{*jid, std::move(*prepared), number};
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
        storage::detach(run_lane(hashing, now), [&hashing](std::exception_ptr exception) {
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
    const auto iterations = static_cast<std::uint32_t>(arguments.number("iterations").value_or(config->auth.iterations));
    Hashing hashing{context.server.hashes(), std::move(entries), iterations};
    start_lanes(hashing, context.server.clock().wall());
    co_await hashing;
    if (hashing.busy) co_return failure(Problem::Kind::busy, "too many passwords wait to be hashed; try again");

    auto creating = context.server.storage().accounts().create_all(std::move(hashing.accounts));
    const auto made = co_await creating;
    if (!made) co_return failure_of(made.error());
    co_return Json{{"added", *made}, {"existed", wanted - *made}, {"refused", problems.size()}, {"problems", std::move(problems)}};
}

}  // namespace server::admin
