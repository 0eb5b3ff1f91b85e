// SPDX-License-Identifier: MIT
// The state machine of linking. A code follows from the id of who asked, so that neither has to be kept: storage sees
// their hashes.
#include "auth/linking.h"

#include <algorithm>
#include <coroutine>
#include <list>
#include <mutex>

#include "auth/crypto.h"
#include "auth/hash_pool.h"
#include "auth/rate_limit.h"
#include "storage/executor.h"

namespace auth {

namespace {

using namespace std::chrono_literals;
using Kind = LinkError::Kind;
using storage::StorageError;
using storage::Task;
template <class T>
using Answer = xmpp::Result<T, LinkError>;

constexpr std::size_t id_bytes = 20;
constexpr std::size_t key_bytes = 20;
constexpr std::size_t code_length = 8;          // 40 bits: enough against who may be wrong ten times an hour
constexpr std::size_t longest_name = 64;
constexpr std::size_t longest_text = 1024;      // of a key or a signature
constexpr std::size_t longest_id = 64;          // of an OMEMO device, too
constexpr storage::Hash hash = storage::Hash::sha256;

// Crockford's base 32: no letter that could be taken for a digit or for another.
constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

xmpp::Failure<LinkError> fail(Kind kind) { return xmpp::Failure{LinkError{kind}}; }

xmpp::Failure<LinkError> too_many(std::chrono::seconds retry_after) {
    LinkError error{Kind::too_many};
    error.retry_after = std::max(retry_after, 1s);
    return xmpp::Failure{std::move(error)};
}

xmpp::Failure<LinkError> full(std::size_t most) {
    LinkError error{Kind::full};
    error.most = most;
    return xmpp::Failure{std::move(error)};
}

std::string stored(std::string_view secret) { return token(digest(hash, secret)); }

// As typed by people who read it from a screen.
std::string as_typed(std::string_view text) {
    std::string code;
    for (char c : text.substr(0, longest_id)) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        if (c == 'O') c = '0';
        if (c == 'I' || c == 'L') c = '1';
        if (alphabet.find(c) != alphabet.npos) code += c;
    }
    return code;
}

std::string with_dash(std::string code) {
    code.insert(code_length / 2, 1, '-');
    return code;
}

bool is_printable(std::string_view text, std::size_t longest) {
    return text.size() <= longest && std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
}

// What people read: normalised, without control characters.
std::optional<std::string> readable(std::string_view text, std::string_view otherwise) {
    if (text.empty()) return std::string{otherwise};
    if (text.size() > longest_name) return std::nullopt;
    auto normal = xmpp::opaque_string(text);
    if (!normal) return std::nullopt;
    return std::move(*normal);
}

Linking::Companion companion_of(const storage::LinkRequest& request) {
    Linking::Companion companion;
    companion.device_name = request.device_name;
    companion.software = request.software;
    companion.identity_key = request.identity_key;
    companion.omemo_id = request.omemo_id;
    return companion;
}

bool may_approve(const storage::Account& account, std::string_view device) {
    return std::ranges::any_of(account.devices, [&](const storage::Device& known) {
        return known.id == device && known.role != storage::DeviceRole::companion;
    });
}

}  // namespace

struct Linking::State {
    State(LinkRules r, storage::Storage& st, HashPool& h, std::string s, Clock c, Added a)
        : rules{std::move(r)},
          storage{st},
          hashes{h},
          secret{std::move(s)},
          clock{std::move(c)},
          added{std::move(a)},
          by_address{rules.per_address_an_hour, 1h},
          all{rules.per_minute, 1min},
          wrong_codes{rules.wrong_codes_an_hour, 1h} {}

    const LinkRules rules;
    storage::Storage& storage;
    HashPool& hashes;
    const std::string secret;
    const Clock clock;
    const Added added;
    RateLimit by_address, all, wrong_codes;

    mutable std::mutex mutex;
    storage::Time tidied{};   // guarded by mutex

    // Somebody who waits for an approval. In the list before storage is looked at, so that none is missed.
    struct Waiter {
        std::string id;                        // as stored
        bool called = false, stopped = false;
        std::coroutine_handle<> suspended;
        storage::Executor* executor = nullptr;
    };
    std::list<Waiter*> waiters;   // guarded by mutex, as what they hold
    bool is_stopping = false;     // guarded by mutex

    // The presence of a Waiter in that list.
    class Waiting {
    public:
        Waiting(State& state, const std::string& id) : state_{state} {
            waiter_.id = id;
            const std::lock_guard lock{state_.mutex};
            waiter_.called = waiter_.stopped = state_.is_stopping;
            state_.waiters.push_back(&waiter_);
        }
        ~Waiting() {
            const std::lock_guard lock{state_.mutex};
            state_.waiters.remove(&waiter_);
        }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
        bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<> coroutine) {
            const std::lock_guard lock{state_.mutex};
            if (waiter_.called) return false;
            waiter_.suspended = coroutine;
            waiter_.executor = storage::Executor::current();
            return true;
        }
        bool await_resume() {   // whether there is more to come
            const std::lock_guard lock{state_.mutex};
            waiter_.called = false;
            return !waiter_.stopped;
        }

    private:
        State& state_;
        Waiter waiter_;
    };

    // id: as stored.
    void call(const std::string& id, bool stop) {
        const std::lock_guard lock{mutex};
        for (Waiter* const waiter : waiters)
            if (waiter->id == id) wake(*waiter, stop);
    }
    static void wake(Waiter& waiter, bool stop) {
        waiter.called = true;
        waiter.stopped = waiter.stopped || stop;
        if (const auto suspended = std::exchange(waiter.suspended, nullptr)) waiter.executor->post([suspended] { suspended.resume(); });
    }

    std::string code_of(std::string_view id) const {
        const std::string bytes = hmac(hash, secret, id);
        std::string code;
        for (std::size_t i = 0; i < code_length; ++i) code += alphabet[static_cast<unsigned char>(bytes[i]) % alphabet.size()];
        return code;
    }

    Task<void> tidy(storage::Time now);
    Task<Answer<storage::LinkRequest>> find(std::string id);
    Task<Answer<storage::LinkRequest>> find_code(storage::Jid approver, std::string code);
    Task<Answer<Issued>> issue(storage::LinkRequest request);
};

Linking::Linking(LinkRules rules, storage::Storage& storage, HashPool& hashes, std::string secret, Clock clock, Added added)
    : state_{std::make_unique<State>(std::move(rules), storage, hashes, std::move(secret), std::move(clock), std::move(added))} {}

Linking::~Linking() = default;

std::string Linking::code_of(std::string_view id) const { return with_dash(state_->code_of(id)); }

// ---- the companion asks -------------------------------------------------------------------------------------------------

Task<Answer<Linking::Code>> Linking::ask(Companion companion, std::string client_address) {
    State& state = *state_;
    const storage::Time now = state.clock();
    auto name = readable(companion.device_name, "Companion");
    auto software = readable(companion.software, "");
    if (!name || !software || !is_printable(companion.identity_key, longest_text) || !is_printable(companion.omemo_id, longest_id))
        co_return fail(Kind::malformed);
    if (const auto wait = state.by_address.take(network_of(client_address), now); wait > 0s) co_return too_many(wait);
    if (const auto wait = state.all.take("", now); wait > 0s) co_return too_many(wait);

    const std::string id = random_token(id_bytes);
    const std::string code = state.code_of(id);
    storage::LinkRequest request;
    request.id = stored(id);
    request.code = stored(code);
    request.device_name = std::move(*name);
    request.software = std::move(*software);
    request.identity_key = std::move(companion.identity_key);
    request.omemo_id = std::move(companion.omemo_id);
    request.created = now;
    request.expires = now + state.rules.lifetime;
    auto creating = state.storage.link_requests().create(std::move(request));
    const auto created = co_await creating;
    if (!created) co_return fail(Kind::unavailable);   // two equal codes at the same time: once in a million years
    auto tidying = state.tidy(now);
    co_await tidying;
    co_return Code{id, with_dash(code), state.rules.lifetime};
}

// Once an hour, forgets what has expired.
Task<void> Linking::State::tidy(storage::Time now) {
    {
        const std::lock_guard lock{mutex};
        if (now - tidied < 1h) co_return;
        tidied = now;
    }
    auto removing = storage.link_requests().remove_before(now - rules.lifetime - 1h);
    const auto removed = co_await removing;
    if (!removed) {   // tried again with the next one
        const std::lock_guard lock{mutex};
        tidied = {};
    }
}

// ---- a device approves --------------------------------------------------------------------------------------------------

Task<Answer<storage::LinkRequest>> Linking::State::find_code(storage::Jid approver, std::string code) {
    const storage::Time now = clock();
    if (const auto wait = wrong_codes.wait(approver.text(), now); wait > 0s) co_return too_many(wait);
    auto finding = storage.link_requests().find_by_code(stored(as_typed(code)));
    auto found = co_await finding;
    if (!found) co_return fail(Kind::unavailable);
    if (!*found || (*found)->expires <= now || !(*found)->account.empty()) {
        wrong_codes.take(approver.text(), now);
        co_return fail(Kind::gone);
    }
    co_return std::move(**found);
}

Task<Answer<Linking::Companion>> Linking::look(storage::Jid approver, std::string code) {
    auto finding = state_->find_code(approver.bare(), std::move(code));
    const auto found = co_await finding;
    if (!found) co_return xmpp::Failure{found.error()};
    co_return companion_of(*found);
}

Task<Answer<Linking::Companion>> Linking::approve(storage::Jid approver, std::string device, std::string code, std::string signature) {
    State& state = *state_;
    const storage::Jid account_jid = approver.bare();
    if (!is_printable(signature, longest_text)) co_return fail(Kind::malformed);
    auto finding_account = state.storage.accounts().find(account_jid);
    const auto account = co_await finding_account;
    if (!account) co_return fail(Kind::unavailable);
    if (!*account || !may_approve(**account, device)) co_return fail(Kind::not_allowed);
    if ((*account)->devices.size() >= state.rules.devices()) co_return full(state.rules.devices());

    auto finding = state.find_code(account_jid, code);
    const auto found = co_await finding;
    if (!found) co_return xmpp::Failure{found.error()};
    auto approving = state.storage.link_requests().approve(found->code, account_jid, std::move(device), std::move(signature), state.clock());
    const auto approved = co_await approving;
    if (!approved) co_return fail(Kind::unavailable);
    if (!*approved) co_return fail(Kind::gone);
    state.call(found->id, false);
    co_return companion_of(*found);
}

// ---- the companion collects its key --------------------------------------------------------------------------------------

Task<Answer<storage::LinkRequest>> Linking::State::find(std::string id) {
    auto finding = storage.link_requests().find(std::move(id));
    auto found = co_await finding;
    if (!found) co_return fail(Kind::unavailable);
    if (!*found || (*found)->used || (*found)->expires <= clock()) co_return fail(Kind::gone);
    co_return std::move(**found);
}

Task<Answer<bool>> Linking::approved(std::string id, Patience patience) {
    const std::string stored_id = stored(id);
    State::Waiting approval{*state_, stored_id};   // before the first look, so that no approval is missed
    for (;;) {
        auto finding = state_->find(stored_id);
        const auto found = co_await finding;
        if (!found) co_return xmpp::Failure{found.error()};
        if (!found->account.empty()) co_return true;
        if (patience == Patience::none) co_return false;
        const bool goes_on = co_await approval;
        if (!goes_on) co_return false;
    }
}

Task<Answer<Linking::Issued>> Linking::collect(std::string id) {
    auto finding = state_->find(stored(id));
    auto found = co_await finding;
    if (!found) co_return xmpp::Failure{found.error()};
    if (found->account.empty()) co_return fail(Kind::waiting);
    auto issuing = state_->issue(std::move(*found));
    auto issued = co_await issuing;
    co_return std::move(issued);
}

void Linking::stop_waiting(std::string_view id) { state_->call(stored(id), true); }

std::size_t Linking::waiting() const {
    const std::lock_guard lock{state_->mutex};
    return static_cast<std::size_t>(std::ranges::count_if(state_->waiters, [](const State::Waiter* waiter) { return waiter->suspended != nullptr; }));
}

void Linking::stop_waiting() {
    const std::lock_guard lock{state_->mutex};
    state_->is_stopping = true;
    for (State::Waiter* const waiter : state_->waiters) State::wake(*waiter, true);
}

Task<Answer<Linking::Issued>> Linking::State::issue(storage::LinkRequest request) {
    const storage::Time now = clock();
    auto finding = storage.accounts().find(request.account);
    const auto found = co_await finding;
    if (!found) co_return fail(Kind::unavailable);
    // Registered again, removed, or the approving device revoked in the meantime: the approval is worth nothing.
    if (!*found || !may_approve(**found, request.approved_by)) co_return fail(Kind::gone);
    const storage::Account& account = **found;
    if (account.devices.size() >= rules.devices()) co_return full(rules.devices());
    auto asking = storage.messages().last_id(account.id);
    const auto last = co_await asking;
    if (!last) co_return fail(Kind::unavailable);

    // Hashed before the approval is used up: when the pool is full, it is still good.
    Issued issued;
    issued.jid = account.jid;
    issued.device_id = random_token(9);
    issued.key = random_token(key_bytes);
    auto deriving = hashes.derive(issued.key, account.salt, account.iterations);
    auto verifiers = co_await deriving;
    if (!verifiers) co_return fail(Kind::unavailable);
    auto using_up = storage.link_requests().use(request.id, now);
    const auto first = co_await using_up;
    if (!first) co_return fail(Kind::unavailable);
    if (!*first) co_return fail(Kind::gone);   // collected twice at once: one key only

    storage::Device device;
    device.id = issued.device_id;
    device.name = std::move(request.device_name);
    device.role = storage::DeviceRole::companion;
    device.verifiers = std::move(*verifiers);
    device.cursor = *last;   // what came before is the archive's to tell
    device.created = device.last_seen = now;
    device.software = std::move(request.software);
    device.linked_by = std::move(request.approved_by);
    device.identity_key = std::move(request.identity_key);
    device.identity_signature = std::move(request.signature);
    device.omemo_id = std::move(request.omemo_id);
    auto adding = storage.accounts().add_device(account.id, device, rules.devices());
    const auto is_added = co_await adding;
    if (!is_added) co_return fail(is_added.error().kind == StorageError::Kind::not_found ? Kind::gone : Kind::unavailable);
    if (!*is_added) co_return full(rules.devices());
    added(account.jid, device);
    co_return std::move(issued);
}

}  // namespace auth
