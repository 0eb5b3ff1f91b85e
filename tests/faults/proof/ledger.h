// SPDX-License-Identifier: MIT
// The checker: who sent what, what the server acknowledged, what came to which device, and what each device
// said that it has. A message is lost when its sender has an ack and a device of the recipient never gets it;
// reordered when it comes to a device for the first time behind a later one of the same sender; duplicated
// when it comes again to a device that acked it (XEP-0198 §4), or again within one session.
//
// Two kinds of second copies are nobody's fault, and counted apart. A sender that got no ack sends again, and
// so makes another message for the server (another stanza-id); and what a device acked in the last moment
// before kill -9 may not be known to the next process. That it is known is certain when the server has acked
// a message that the device sent behind its <a/>: that message and the device's progress are in one commit or
// in this order.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tests/faults/proof/plan.h"

namespace tests {

// A number in the conversation of a device with an account; as text it is the id of the stanza.
struct MessageId {
    int sender = 0;   // device
    int account = 0;  // recipient
    std::uint32_t number = 0;

    std::string text() const;
    static std::optional<MessageId> parse(std::string_view text);
};

class Ledger {
public:
    Ledger(const Plan& plan, const Chronicle& chronicle);

    // ---- the sender's side ----
    MessageId sends(int sender, int account);
    void sends_again(MessageId message);  // in a new session: nobody knows whether the first is stored
    void acked(MessageId message);
    void refused(MessageId message);  // came back as an error of type wait
    std::uint32_t times_sent(MessageId message) const;
    std::uint32_t sent_to(int sender, int account) const;

    // ---- the recipient's side ----
    void begins_session(int device, std::uint32_t crashes);
    struct Arrival {
        int device = 0;
        MessageId message;
        std::string_view stanza_id;  // by the device's account
        std::uint32_t h = 0;         // its place in the session
    };
    void arrived(const Arrival& arrival);
    void device_acked(int device, std::uint32_t h);
    // The server read the device's ack of that, or has it stored as well. `crashes`: kill -9 before that
    // server.
    void ack_was_read(int device, std::uint32_t h, std::uint32_t crashes, bool is_stored);
    void server_crashed(std::uint32_t crashes) { crashes_ = crashes; }

    // ---- the verdict ----
    void wrong(std::string_view kind, const std::string& what);
    // Everything that was acked is where it should be.
    bool is_complete() const { return missing_ == 0; }
    bool is_acked(MessageId message) const;
    bool has_arrived(int device, MessageId message) const;
    void count_lost();  // whatever is missing now
    void lost(MessageId message, const std::string& where);
    const std::vector<std::string>& details() const { return details_; }

    struct Counts {
        std::uint64_t sent = 0, acked = 0, refused = 0, delivered = 0;
        std::uint64_t lost = 0, duplicated = 0, reordered = 0, otherwise_wrong = 0;
        std::uint64_t sent_again = 0, copies_of_sent_again = 0, again_unacked = 0;
    };
    const Counts& counts() const { return counts_; }
    bool is_right() const {
        return counts_.lost + counts_.duplicated + counts_.reordered + counts_.otherwise_wrong == 0;
    }

private:
    struct Sent {
        Moment at = 0, acked = 0;
        std::uint16_t times = 1;
        bool is_refused = false;
    };
    struct Receipt {
        std::uint32_t copy = 0;  // tells stanza-ids apart; 0: never came
        std::uint32_t session = 0, h = 0;
        Moment at = 0;
    };
    struct Conversation {
        std::vector<Sent> sent;
        std::array<std::vector<Receipt>, Plan::devices_per_account> receipts;
        std::array<std::uint32_t, Plan::devices_per_account> highest{};  // that came for the first time
    };
    struct Session {
        std::uint32_t crashes = 0;                      // of the server, when it began
        std::uint32_t acked = 0, read = 0, stored = 0;  // highest h
        std::uint32_t crashes_at_read = 0;
    };

    static constexpr std::size_t most_details = 10;
    Conversation& conversation(MessageId message);
    const Conversation& conversation(MessageId message) const;
    Receipt* receipt(int device, MessageId message);
    int owner_of(int device) const { return device / Plan::devices_per_account; }
    void first_copy(const Arrival& arrival, std::uint32_t copy);
    void further_copy(const Arrival& arrival, std::uint32_t copy, Receipt& first);
    void same_again(const Arrival& arrival, Receipt& before);
    std::string story(const std::string& what, int device, MessageId message) const;

    const Plan& plan_;
    const Chronicle& chronicle_;
    std::vector<Conversation> conversations_;
    std::vector<std::vector<Session>> sessions_;  // by device
    std::unordered_multimap<std::string, Receipt>
        further_;  // copies with other stanza-ids, by device and message
    std::uint32_t crashes_ = 0;
    std::uint64_t missing_ = 0;  // acked messages times devices that lack them
    Counts counts_;
    std::vector<std::string> details_;
};

}  // namespace tests
