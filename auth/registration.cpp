// SPDX-License-Identifier: MIT
// The state machine of registration: start() sends a PIN, confirm() trades it for a key. What is cheap is
// checked first, what costs an SMS last. start() never looks at accounts: it answers the same whether a
// number has one or not.
#include "auth/registration.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <mutex>
#include <set>

#include "auth/crypto.h"
#include "auth/hash_pool.h"
#include "auth/phone.h"
#include "auth/rate_limit.h"
#include "auth/sms.h"

namespace auth {

namespace {

using namespace std::chrono_literals;
using Kind = RegistrationError::Kind;
using storage::StorageError;
using storage::Task;
template <class T>
using Answer = xmpp::Result<T, RegistrationError>;

constexpr std::size_t salt_bytes = 16;
constexpr std::size_t longest_device_name = 64;
constexpr std::size_t longest_id = 64;
constexpr std::size_t longest_pin = 32;  // as typed
constexpr std::size_t secret_bytes = 32;
constexpr std::size_t key_bytes = 20;
constexpr std::size_t id_bytes = 20;
constexpr auto a_day = 24h;
constexpr storage::Hash pin_hash = storage::Hash::sha256;
constexpr std::uint32_t times_around = 5;  // as many PINs as for an address are for the network around it

xmpp::Failure<RegistrationError> fail(Kind kind) { return xmpp::Failure{RegistrationError{kind}}; }

xmpp::Failure<RegistrationError> too_many(std::chrono::seconds retry_after) {
    RegistrationError error{Kind::too_many};
    error.retry_after = std::max(retry_after, std::chrono::seconds{1});
    return xmpp::Failure{std::move(error)};
}

xmpp::Failure<RegistrationError> wrong_pin(std::uint32_t tries_left) {
    RegistrationError error{Kind::wrong_pin};
    error.tries_left = tries_left;
    return xmpp::Failure{std::move(error)};
}

std::string with_pin(std::string_view text, std::string_view pin) {
    constexpr std::string_view place = "{pin}";
    std::string filled{text};
    for (std::size_t at = filled.find(place); at != std::string::npos;
         at = filled.find(place, at + pin.size())) {
        filled.replace(at, place.size(), pin);
    }
    return filled;
}

std::uint32_t multiplied(std::uint32_t count, std::uint64_t times) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(times * count, UINT32_MAX));
}

// A number's tries in a day, over all its PINs.
std::uint32_t tries_a_day(const RegistrationRules& rules) { return std::max(10U, multiplied(rules.tries, 2)); }

// Who wants to be that number's owner.
std::string asker_of(const std::string& number, const std::string& network) { return number + ' ' + network; }

// People type what they see: "12 345", "123-45".
std::string as_typed(std::string_view pin) {
    std::string digits;
    for (const char c : pin.substr(0, longest_pin)) {
        if (c != ' ' && c != '-') digits += c;
    }
    return digits;
}

// Ids of offers are marked, by what ids that start() makes have not.
constexpr std::string_view offer_mark = "o.";

bool is_offered(std::string_view id) { return id.starts_with(offer_mark); }

// An offer's id is worth its key: it is stored as a hash.
std::string stored_id(const std::string& id) {
    return is_offered(id) ? token(digest(storage::Hash::sha256, id).substr(0, id_bytes)) : id;
}

bool can_be_id(std::string_view id) {
    if (is_offered(id)) id.remove_prefix(offer_mark.size());
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_';
    };
    return !id.empty() && id.size() <= longest_id && std::all_of(id.begin(), id.end(), fits);
}

// Shown in lists and sent inside XML: no control characters, not long, cut between characters.
std::string device_name_of(std::string_view wanted) {
    std::string name = xmpp::opaque_string(wanted.substr(0, 1024)).value_or("");
    if (name.size() > longest_device_name) {
        std::size_t end = longest_device_name;
        while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xc0U) == 0x80U) --end;
        name.resize(end);
    }
    return name.empty() ? "Phone" : name;
}

}  // namespace

struct Registration::State {
    State(RegistrationRules r, storage::Storage& st, HashPool& h, SmsGateway& g, Clock c,
          std::function<void(const storage::Jid&)> changed)
        : rules{std::move(r)},
          storage{st},
          hashes{h},
          sms{g},
          clock{std::move(c)},
          keys_changed{std::move(changed)},
          by_address{rules.per_address_an_hour, 1h},
          around_address{multiplied(rules.per_address_an_hour, times_around), 1h},
          by_asker{std::max(1U, (rules.per_number_a_day - 1) / 2), a_day},
          by_range{rules.per_range_an_hour, 1h},
          all{rules.per_minute, 1min},
          all_day{rules.per_day, a_day},
          confirms{rules.confirms_per_address_a_minute, 1min},
          tries{tries_a_day(rules), a_day},
          tries_by_asker{tries_a_day(rules) * 4 / 5, a_day} {}

    const RegistrationRules rules;
    storage::Storage& storage;
    HashPool& hashes;
    SmsGateway& sms;
    const Clock clock;
    const std::function<void(const storage::Jid&)> keys_changed;
    const std::string secret = random_bytes(secret_bytes);  // makes keys of ids
    RateLimit by_address, around_address, by_asker, by_range, all, all_day, confirms, tries, tries_by_asker;

    std::atomic<std::uint64_t> pins = 0, wrong_pins = 0, keys = 0;
    std::atomic<bool> is_told_of_few = false;

    std::mutex mutex;
    std::set<std::string> starting;  // guarded by mutex: numbers between the look at recent() and create()
    storage::Time tidied{};          // guarded by mutex

    // Holds a number, so that two requests at the same moment send one SMS.
    class Hold {
    public:
        Hold(State& state, const std::string& number) : state_{state}, number_{number} {
            const std::lock_guard lock{state_.mutex};
            held_ = state_.starting.insert(number_).second;
        }
        ~Hold() {
            if (!held_) return;
            const std::lock_guard lock{state_.mutex};
            state_.starting.erase(number_);
        }
        Hold(const Hold&) = delete;
        Hold& operator=(const Hold&) = delete;
        explicit operator bool() const { return held_; }

    private:
        State& state_;
        const std::string number_;
        bool held_ = false;
    };

    bool may_register(std::string_view number) const {
        return rules.prefixes.empty() ||
               std::any_of(rules.prefixes.begin(), rules.prefixes.end(),
                           [&](const std::string& prefix) { return number.starts_with(prefix); });
    }

    // As strong as a random one, and known before anything is stored. Ids of offers only.
    std::string key_of(std::string_view id) const {
        return token(hmac(storage::Hash::sha256, secret, id).substr(0, key_bytes));
    }

    std::chrono::seconds take_pin(const std::string& number, const std::string& network, storage::Time now);
    void watch_the_day(storage::Time now);
    Task<Answer<Started>> send_pin(std::string number, std::string id, storage::Time now);
    Task<void> tidy(storage::Time now);
    Task<Answer<storage::PendingRegistration>> proved(std::string id, std::string pin,
                                                      std::string expected_username, std::string network,
                                                      storage::Time now);
    std::chrono::seconds take_try(const std::string& number, const std::string& network, storage::Time now);
    Task<Answer<bool>> has_account(std::string phone);
    Task<Answer<Issued>> issue(storage::PendingRegistration pending, std::string key, std::string device_name,
                               storage::Time now);
    Task<Answer<bool>> store_key(storage::Jid jid, std::string phone, storage::Salt salt,
                                 storage::Device device);
};

Registration::Registration(RegistrationRules rules, storage::Storage& storage, HashPool& hashes,
                           SmsGateway& sms, Clock clock,
                           std::function<void(const storage::Jid&)> keys_changed)
    : state_{std::make_unique<State>(std::move(rules), storage, hashes, sms, std::move(clock),
                                     std::move(keys_changed))} {
    assert(state_->clock && state_->keys_changed);
}

Registration::~Registration() = default;

Registration::Totals Registration::totals() const { return {state_->pins, state_->wrong_pins, state_->keys}; }

Registration::Offer Registration::offer() const {
    std::string id = std::string{offer_mark} + random_token(id_bytes);
    std::string key = state_->key_of(id);
    return {std::move(id), std::move(key)};
}

std::string Registration::key_offered(std::string_view id) const {
    return is_offered(id) ? state_->key_of(id) : std::string{};
}

Task<Answer<Registration::Started>> Registration::start(std::string phone, std::string client_address,
                                                        std::string offered) {
    State& state = *state_;
    if (!state.rules.enabled) co_return fail(Kind::disabled);
    if (!offered.empty() && (!is_offered(offered) || !can_be_id(offered))) co_return fail(Kind::gone);
    const storage::Time now = state.clock();
    const std::string network = network_of(client_address);
    // Looked at before the number is parsed, taken after: a slip of the finger costs nothing.
    if (const auto wait = state.by_address.wait(network, now); wait > 0s) co_return too_many(wait);
    const auto number = parse_phone(phone);
    if (!number) co_return fail(Kind::not_a_number);
    if (!state.may_register(*number)) co_return fail(Kind::disabled);
    if (const auto wait = state.by_address.take(network, now); wait > 0s) co_return too_many(wait);
    // Who has many addresses has them side by side.
    if (const auto wait = state.around_address.take(wider_network_of(client_address), now); wait > 0s)
        co_return too_many(wait);

    const State::Hold hold{state, *number};
    if (!hold) co_return too_many(state.rules.resend_after);
    auto asking = state.storage.registrations().recent(*number, now - a_day);
    const auto recent = co_await asking;
    if (!recent) co_return fail(Kind::unavailable);
    const auto resend_at = recent->last + state.rules.resend_after;
    if (recent->count > 0 && now < resend_at)
        co_return too_many(std::chrono::ceil<std::chrono::seconds>(resend_at - now));
    if (recent->count >= state.rules.per_number_a_day) co_return too_many(1h);
    if (const auto wait = state.take_pin(*number, network, now); wait > 0s) co_return too_many(wait);
    auto sending = state.send_pin(*number, std::move(offered), now);
    auto started = co_await sending;
    co_return std::move(started);
}

// One of the PINs that limits allow: zero, or how long until there is one.
std::chrono::seconds Registration::State::take_pin(const std::string& number, const std::string& network,
                                                   storage::Time now) {
    // So that no stranger alone keeps a number's owner out: neither by asking nor by guessing.
    const std::string asker = asker_of(number, network);
    for (const auto wait : {by_asker.wait(asker, now), tries.wait(number, now), tries_by_asker.wait(asker, now)})
        if (wait > 0s) return wait;
    // The budgets of everybody come last: only what would really send an SMS draws on them.
    if (rules.per_range_an_hour > 0)
        if (const auto wait = by_range.take(number.substr(0, number.size() - 3), now); wait > 0s) return wait;
    if (const auto wait = all.take("", now); wait > 0s) return wait;
    if (const auto wait = all_day.take("", now); wait > 0s) return wait;
    watch_the_day(now);
    return by_asker.take(asker, now);
}

// Told once, until half of them are there again.
void Registration::State::watch_the_day(storage::Time now) {
    const std::uint32_t left = all_day.left("", now);
    if (left > rules.per_day / 2) is_told_of_few = false;
    if (left <= rules.per_day / 5 && !is_told_of_few.exchange(true)) rules.few_left(left);
}

Task<Answer<Registration::Started>> Registration::State::send_pin(std::string number, std::string id,
                                                                  storage::Time now) {
    const std::string pin = random_digits(rules.pin_digits);
    storage::PendingRegistration pending;
    if (id.empty()) id = random_token(id_bytes);
    pending.id = stored_id(id);
    pending.phone = number;
    pending.pin_salt = random_bytes(salt_bytes);
    pending.pin_hash = hmac(pin_hash, pending.pin_salt, pin);
    pending.tries_left = rules.tries;
    pending.created = now;
    pending.expires = now + rules.lifetime;
    Started started{std::move(id), rules.lifetime, rules.resend_after, number};

    auto creating = storage.registrations().create(std::move(pending));
    const auto created = co_await creating;
    // An offer is good for one PIN.
    if (!created && created.error().kind == StorageError::Kind::conflict) co_return fail(Kind::gone);
    if (!created) co_return fail(Kind::unavailable);
    Sms message{std::move(number), with_pin(rules.sms_text, pin)};
    if (!sms.send(std::move(message))) co_return fail(Kind::unavailable);
    ++pins;
    auto tidying = tidy(now);
    co_await tidying;
    co_return std::move(started);
}

// Once an hour, forgets what no limit and no PIN needs any more.
Task<void> Registration::State::tidy(storage::Time now) {
    {
        const std::lock_guard lock{mutex};
        if (now - tidied < 1h) co_return;
        tidied = now;
    }
    const auto oldest_needed = now - std::max<std::chrono::seconds>(a_day, rules.lifetime) - 1h;
    auto removing = storage.registrations().remove_before(oldest_needed);
    const auto removed = co_await removing;
    if (!removed) {  // tried again with the next registration
        const std::lock_guard lock{mutex};
        tidied = {};
    }
}

Task<Answer<Registration::Issued>> Registration::confirm(std::string id, std::string pin,
                                                         std::string device_name, std::string client_address,
                                                         Login expected) {
    State& state = *state_;
    if (!state.rules.enabled) co_return fail(Kind::disabled);
    const storage::Time now = state.clock();
    const std::string network = network_of(client_address);
    if (const auto wait = state.confirms.take(network, now); wait > 0s) co_return too_many(wait);
    if (!can_be_id(id)) co_return fail(Kind::gone);

    std::string key = is_offered(id) ? state.key_of(id) : random_token(key_bytes);
    if (!expected.key.empty() && !equal_in_constant_time(expected.key, key))
        co_return fail(Kind::other_login);
    auto proving = state.proved(stored_id(id), std::move(pin), std::move(expected.username), network, now);
    auto pending = co_await proving;
    if (!pending) co_return xmpp::Failure{pending.error()};
    if (!expected.is_invited && state.rules.invited_only()) {
        auto asking = state.has_account(pending->phone);
        const auto has_account = co_await asking;
        if (!has_account) co_return xmpp::Failure{has_account.error()};
        if (!*has_account) co_return fail(Kind::not_invited);
    }
    auto issuing = state.issue(std::move(*pending), std::move(key), device_name_of(device_name), now);
    auto issued = co_await issuing;
    co_return std::move(issued);
}

Task<Answer<storage::PendingRegistration>> Registration::State::proved(std::string id, std::string pin,
                                                                       std::string expected_username,
                                                                       std::string network,
                                                                       storage::Time now) {
    auto finding = storage.registrations().find(id);
    auto found = co_await finding;
    if (!found) co_return fail(Kind::unavailable);
    if (!*found) co_return fail(Kind::gone);
    storage::PendingRegistration pending = std::move(**found);
    if (!expected_username.empty() && expected_username != localpart_of(pending.phone))
        co_return fail(Kind::other_login);

    // A try is paid for before the PIN is looked at, so that guesses at the same moment share the few there
    // are.
    auto taking = storage.registrations().take_try(id, now);
    const auto tries_left = co_await taking;
    if (!tries_left) co_return fail(Kind::unavailable);
    if (!*tries_left) co_return fail(Kind::gone);
    if (const auto wait = take_try(pending.phone, network, now); wait > 0s) co_return too_many(wait);
    const std::string hash = hmac(pin_hash, pending.pin_salt, as_typed(pin));
    if (!equal_in_constant_time(hash, pending.pin_hash)) {
        ++wrong_pins;
        co_return wrong_pin(**tries_left);
    }
    co_return std::move(pending);
}

// One of the tries that a number has in a day: those of all its PINs together would be many guesses.
std::chrono::seconds Registration::State::take_try(const std::string& number, const std::string& network,
                                                   storage::Time now) {
    if (const auto wait = tries_by_asker.take(asker_of(number, network), now); wait > 0s) return wait;
    return tries.take(number, now);
}

Task<Answer<bool>> Registration::State::has_account(std::string phone) {
    const auto jid = storage::Jid::from_parts(localpart_of(phone), rules.domain);
    if (!jid) co_return fail(Kind::unavailable);
    auto finding = storage.accounts().find(*jid);
    const auto found = co_await finding;
    if (!found) co_return fail(Kind::unavailable);
    co_return found->has_value();
}

Task<Answer<Registration::Issued>> Registration::State::issue(storage::PendingRegistration pending,
                                                              std::string key, std::string device_name,
                                                              storage::Time now) {
    const auto jid = storage::Jid::from_parts(localpart_of(pending.phone), rules.domain);
    if (!jid) co_return fail(Kind::unavailable);  // the domain is none; configuration refuses such
    Issued issued;
    issued.jid = *jid;
    issued.device_id = random_token(9);
    issued.key = std::move(key);

    // Hashed before the PIN is used up: when the pool is full the PIN is still good.
    storage::Salt salt{random_bytes(salt_bytes), rules.iterations};
    auto deriving = hashes.derive(issued.key, salt.bytes, salt.iterations);
    auto verifiers = co_await deriving;
    if (!verifiers) co_return fail(Kind::unavailable);
    auto using_up = storage.registrations().use(pending.id);
    const auto first = co_await using_up;
    if (!first) co_return fail(Kind::unavailable);
    if (!*first) co_return fail(Kind::gone);  // the same PIN was confirmed twice at once: one key only

    storage::Device device;
    device.id = issued.device_id;
    device.name = std::move(device_name);
    device.role = storage::DeviceRole::primary;
    device.verifiers = std::move(*verifiers);
    device.created = device.last_seen = now;
    auto storing = store_key(*jid, pending.phone, std::move(salt), std::move(device));
    const auto replaced = co_await storing;
    if (!replaced) co_return xmpp::Failure{replaced.error()};
    ++keys;
    issued.is_new = !*replaced;
    if (*replaced) keys_changed(*jid);
    co_return std::move(issued);
}

// Whether the account was there before, and its old keys are invalid now.
Task<Answer<bool>> Registration::State::store_key(storage::Jid jid, std::string phone, storage::Salt salt,
                                                  storage::Device device) {
    // An account may come or go between the look and the write; then look again.
    for (int attempt = 0; attempt < 3; ++attempt) {
        auto finding = storage.accounts().find(jid);
        auto found = co_await finding;
        if (!found) break;
        if (*found) {
            auto replacing = storage.accounts().replace_devices((**found).id, salt, device);
            const auto replaced = co_await replacing;
            if (replaced) co_return true;
            if (replaced.error().kind != StorageError::Kind::not_found) break;
        } else {
            storage::Account account;
            account.jid = jid;
            account.phone = phone;
            account.salt = salt.bytes;
            account.iterations = salt.iterations;
            account.created = device.created;
            account.devices.push_back(device);
            auto creating = storage.accounts().create(std::move(account));
            const auto created = co_await creating;
            if (created) co_return false;
            if (created.error().kind != StorageError::Kind::conflict) break;
        }
    }
    co_return fail(Kind::unavailable);
}

}  // namespace auth
