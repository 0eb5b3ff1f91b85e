// SPDX-License-Identifier: MIT
#include "tests/faults/proof/ledger.h"

#include <algorithm>
#include <charconv>
#include <functional>

namespace tests {

// ---- names and times -----------------------------------------------------------------------------------

std::string MessageId::text() const {
    return std::to_string(sender) + "-" + std::to_string(account) + "-" + std::to_string(number);
}

std::optional<MessageId> MessageId::parse(std::string_view text) {
    MessageId id;
    const char* at = text.data();
    const char* const end = at + text.size();
    const auto read = [&](auto& value) {
        const auto [next, problem] = std::from_chars(at, end, value);
        at = next;
        return problem == std::errc{};
    };
    const auto skip_dash = [&] { return at != end && *at++ == '-'; };
    const bool fits =
        read(id.sender) && skip_dash() && read(id.account) && skip_dash() && read(id.number) && at == end;
    return fits && id.number > 0 ? std::optional{id} : std::nullopt;
}

void Chronicle::tell(std::string what) {
    const std::lock_guard lock{mutex_};
    steps_.push_back({now(), std::move(what)});
}

std::string Chronicle::text(Moment when) {
    return when == 0
               ? "never"
               : std::to_string(when / 1000) + "." + std::to_string(1000 + when % 1000).substr(1) + " s";
}

std::string Chronicle::around(Moment when) const {
    const std::lock_guard lock{mutex_};
    const auto behind = std::ranges::upper_bound(steps_, when, {}, &Step::when);
    const auto from = behind - std::min<std::ptrdiff_t>(3, behind - steps_.begin());
    const auto to = behind + std::min<std::ptrdiff_t>(2, steps_.end() - behind);
    std::string lines;
    for (auto step = from; step != to; ++step) lines += "\n      " + text(step->when) + " " + step->what;
    return lines.empty() ? "\n      nothing" : lines;
}

Ledger::Ledger(const Plan& plan, const Chronicle& chronicle)
    : plan_{plan},
      chronicle_{chronicle},
      conversations_(static_cast<std::size_t>(plan.devices() * plan.accounts)),
      sessions_(static_cast<std::size_t>(plan.devices())) {}

Ledger::Conversation& Ledger::conversation(MessageId message) {
    return conversations_[static_cast<std::size_t>(message.sender * plan_.accounts + message.account)];
}

const Ledger::Conversation& Ledger::conversation(MessageId message) const {
    return conversations_[static_cast<std::size_t>(message.sender * plan_.accounts + message.account)];
}

Ledger::Receipt* Ledger::receipt(int device, MessageId message) {
    auto& receipts =
        conversation(message).receipts[static_cast<std::size_t>(device % Plan::devices_per_account)];
    if (receipts.size() < message.number) receipts.resize(message.number);
    return &receipts[message.number - 1];
}

// ---- the sender's side ---------------------------------------------------------------------------------

MessageId Ledger::sends(int sender, int account) {
    MessageId message{sender, account, 0};
    auto& sent = conversation(message).sent;
    sent.push_back({chronicle_.now()});
    message.number = static_cast<std::uint32_t>(sent.size());
    ++counts_.sent;
    return message;
}

void Ledger::sends_again(MessageId message) {
    ++conversation(message).sent[message.number - 1].times;
    ++counts_.sent_again;
}

std::uint32_t Ledger::times_sent(MessageId message) const {
    return conversation(message).sent[message.number - 1].times;
}

std::uint32_t Ledger::sent_to(int sender, int account) const {
    return static_cast<std::uint32_t>(conversation({sender, account, 0}).sent.size());
}

void Ledger::acked(MessageId message) {
    Sent& sent = conversation(message).sent[message.number - 1];
    if (sent.acked != 0 || sent.is_refused) return;
    sent.acked = chronicle_.now();
    ++counts_.acked;
    for (int i = 0; i < Plan::devices_per_account; ++i)
        if (!has_arrived(message.account * Plan::devices_per_account + i, message)) ++missing_;
}

// The refusal of a session that was resumed may follow an ack.
void Ledger::refused(MessageId message) {
    Sent& sent = conversation(message).sent[message.number - 1];
    if (std::exchange(sent.is_refused, true)) return;
    ++counts_.refused;
    if (sent.acked == 0) return;
    sent.acked = 0;
    --counts_.acked;
    for (int i = 0; i < Plan::devices_per_account; ++i)
        if (!has_arrived(message.account * Plan::devices_per_account + i, message)) --missing_;
}

bool Ledger::is_acked(MessageId message) const {
    const auto& sent = conversation(message).sent;
    return message.number <= sent.size() && sent[message.number - 1].acked != 0;
}

// ---- the recipient's side ------------------------------------------------------------------------------

void Ledger::begins_session(int device, std::uint32_t crashes) {
    sessions_[static_cast<std::size_t>(device)].push_back({crashes, 0, 0, 0, crashes});
}

void Ledger::device_acked(int device, std::uint32_t h) {
    sessions_[static_cast<std::size_t>(device)].back().acked = h;
}

void Ledger::ack_was_read(int device, std::uint32_t h, std::uint32_t crashes, bool is_stored) {
    Session& session = sessions_[static_cast<std::size_t>(device)].back();
    if (h > session.read) {
        session.read = h;
        session.crashes_at_read = crashes;
    }
    if (is_stored) session.stored = std::max(session.stored, h);
}

bool Ledger::has_arrived(int device, MessageId message) const {
    const auto& receipts =
        conversation(message).receipts[static_cast<std::size_t>(device % Plan::devices_per_account)];
    return message.number <= receipts.size() && receipts[message.number - 1].copy != 0;
}

void Ledger::arrived(const Arrival& arrival) {
    const MessageId message = arrival.message;
    const bool is_known = message.sender < plan_.devices() && message.account < plan_.accounts &&
                          message.number <= conversation(message).sent.size();
    if (!is_known) return wrong("unknown", "a message came that nobody sent: " + message.text());
    if (message.account != owner_of(arrival.device))
        return wrong("astray", story("came to somebody else's device", arrival.device, message));
    if (arrival.stanza_id.empty())
        return wrong("without stanza-id", story("has no stanza-id of the account", arrival.device, message));
    const std::uint32_t copy =
        1U | static_cast<std::uint32_t>(std::hash<std::string_view>{}(arrival.stanza_id));
    Receipt& first = *receipt(arrival.device, message);
    if (first.copy == 0) return first_copy(arrival, copy);
    further_copy(arrival, copy, first);
}

void Ledger::first_copy(const Arrival& arrival, std::uint32_t copy) {
    const MessageId message = arrival.message;
    Conversation& talk = conversation(message);
    const auto place = static_cast<std::size_t>(arrival.device % Plan::devices_per_account);
    const auto session =
        static_cast<std::uint32_t>(sessions_[static_cast<std::size_t>(arrival.device)].size());
    *receipt(arrival.device, message) = {copy, session, arrival.h, chronicle_.now()};
    ++counts_.delivered;
    if (is_acked(message)) --missing_;
    if (message.number < talk.highest[place]) {
        ++counts_.reordered;
        if (details_.size() < most_details)
            details_.push_back(story("reordered: came behind number " + std::to_string(talk.highest[place]),
                                     arrival.device, message));
    }
    talk.highest[place] = std::max(talk.highest[place], message.number);
}

void Ledger::further_copy(const Arrival& arrival, std::uint32_t copy, Receipt& first) {
    if (first.copy == copy) return same_again(arrival, first);
    const std::string key = std::to_string(arrival.device) + " " + arrival.message.text();
    const auto [begin, end] = further_.equal_range(key);
    for (auto other = begin; other != end; ++other)
        if (other->second.copy == copy) return same_again(arrival, other->second);
    const auto session =
        static_cast<std::uint32_t>(sessions_[static_cast<std::size_t>(arrival.device)].size());
    const auto copies = static_cast<std::uint32_t>(2 + std::distance(begin, end));
    further_.emplace(key, Receipt{copy, session, arrival.h, chronicle_.now()});
    if (copies <= times_sent(arrival.message)) {
        ++counts_.copies_of_sent_again;
        if (!plan_.is_orderly()) return;
    }
    ++counts_.duplicated;
    if (details_.size() < most_details)
        details_.push_back(story("duplicated: copy " + std::to_string(copies) + " of what was sent " +
                                     std::to_string(times_sent(arrival.message)) + " times",
                                 arrival.device, arrival.message));
}

void Ledger::same_again(const Arrival& arrival, Receipt& before) {
    const auto& sessions = sessions_[static_cast<std::size_t>(arrival.device)];
    const Session& had = sessions[before.session - 1];
    const bool in_one_session = before.session == sessions.size();
    const bool was_known =
        before.h <= had.stored || (before.h <= had.read && had.crashes_at_read == crashes_);
    if (!in_one_session && !was_known && !plan_.is_orderly()) {
        ++counts_.again_unacked;
        before.session = static_cast<std::uint32_t>(sessions.size());
        before.h = arrival.h;
        return;
    }
    ++counts_.duplicated;
    if (details_.size() >= most_details) return;
    details_.push_back(story("duplicated: it came at " + Chronicle::text(before.at) + " as stanza " +
                                 std::to_string(before.h) + " of session " + std::to_string(before.session) +
                                 ", which acked " + std::to_string(had.acked) + ", known to be read " +
                                 std::to_string(had.read) + ", stored " + std::to_string(had.stored) +
                                 "; now again as stanza " + std::to_string(arrival.h) + " of session " +
                                 std::to_string(sessions.size()),
                             arrival.device, arrival.message));
}

// ---- the verdict ---------------------------------------------------------------------------------------

std::string Ledger::story(const std::string& what, int device, MessageId message) const {
    const Sent& sent = conversation(message).sent[message.number - 1];
    return what + "\n    from device " + std::to_string(message.sender) + " to device " +
           std::to_string(device) + ", number " + std::to_string(message.number) + ", sent at " +
           Chronicle::text(sent.at) + " (" + std::to_string(sent.times) + " times), acked at " +
           Chronicle::text(sent.acked) + ", now " + Chronicle::text(chronicle_.now()) +
           "\n    faults when it was sent:" + chronicle_.around(sent.at) +
           "\n    faults lately:" + chronicle_.around(chronicle_.now());
}

void Ledger::wrong(std::string_view kind, const std::string& what) {
    ++counts_.otherwise_wrong;
    if (details_.size() < most_details)
        details_.push_back(std::string{kind} + ": " + what +
                           "\n    faults lately:" + chronicle_.around(chronicle_.now()));
}

void Ledger::lost(MessageId message, const std::string& where) {
    ++counts_.lost;
    if (details_.size() < most_details)
        details_.push_back(story("lost: " + where, message.account * Plan::devices_per_account, message));
}

void Ledger::count_lost() {
    for (int sender = 0; sender < plan_.devices(); ++sender)
        for (int account = 0; account < plan_.accounts; ++account)
            for (std::uint32_t number = 1; number <= sent_to(sender, account); ++number) {
                const MessageId message{sender, account, number};
                if (!is_acked(message)) continue;
                for (int i = 0; i < Plan::devices_per_account; ++i) {
                    const int device = account * Plan::devices_per_account + i;
                    if (has_arrived(device, message)) continue;
                    ++counts_.lost;
                    if (details_.size() < most_details)
                        details_.push_back(story("lost: never came", device, message));
                }
            }
}

}  // namespace tests
