// SPDX-License-Identifier: MIT
// What is remembered, in the words of the domain. One portable SQL implementation stands behind these interfaces, with
// drivers for SQLite and MySQL; tests/unit/storage holds the contract that both keep.
// Every method may be called on any thread that has an Executor, and goes on there. Nothing here throws for what the
// world does: a database that is down, full or slow is a StorageError.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/result.h"
#include "storage/rooms.h"
#include "storage/task.h"
#include "storage/verifiers.h"
#include "xmpp/date_time.h"
#include "xmpp/jid.h"
#include "xmpp/shared_text.h"
#include "xmpp/result.h"
#include "xmpp/wire.h"

namespace storage {

using xmpp::SharedText;

using LogId = std::uint64_t;  // position in one account's log: microseconds since 1970 at append, always rising

// ---- accounts and devices ------------------------------------------------------------------------------------------

enum class DeviceRole : std::uint8_t { password, primary, companion };  // password: an account without a phone number

struct Device {
    SharedText id;        // random, unique in the account, URL-safe
    SharedText name;      // for humans
    DeviceRole role = DeviceRole::password;
    bool reads_archive = false;   // it fetches what it lacks from the archive by itself (XEP-0313)
    Verifiers verifiers;
    LogId cursor = 0;     // the last log entry that the device is known to have
    Time created{}, last_seen{};
    SharedText software;  // what runs on it, in its own words; may be empty, as all that follows
    SharedText linked_by; // of a companion: the id of the device that approved it
    SharedText identity_key;        // its public key, opaque to the server
    SharedText identity_signature;   // of the device that approved it, over that key
    SharedText omemo_id;  // XEP-0384
    SharedText networks;  // where it may log in from, "10.0.0.0/8 2001:db8::/32"; empty: anywhere
};

struct Account {
    AccountId id = 0;
    Jid jid;              // bare
    SharedText phone;     // E.164, or empty
    SharedText salt;      // raw bytes
    std::uint32_t iterations = 0;
    bool disabled = false;
    Time created{};
    Time last_logout{};       // XEP-0012: when the last available resource went
    SharedText last_status;   // and the status text it left
    std::vector<Device> devices;

    // Which has that id; or nullptr.
    const Device* device(std::string_view wanted) const {
        const auto found = std::ranges::find_if(devices, [wanted](const Device& each) { return each.id == wanted; });
        return found == devices.end() ? nullptr : &*found;
    }
    Device* device(std::string_view wanted) { return const_cast<Device*>(std::as_const(*this).device(wanted)); }
};

struct Salt {
    Salt(std::string b, std::uint32_t i) : bytes{std::move(b)}, iterations{i} {}
    std::string bytes;
    std::uint32_t iterations;
};

// An account with a device that cannot prove itself with every hash.
struct PartialAccount {
    Jid jid;
    std::array<bool, hash_count> lacks{};   // by Hash, whichever device it is
};

class Accounts {
public:
    virtual ~Accounts() = default;
    virtual Task<Result<std::optional<Account>>> find(Jid bare) = 0;  // with its devices, oldest first
    // conflict when the JID exists. The account's id is in the result; account.devices are stored with it.
    virtual Task<Result<AccountId>> create(Account account) = 0;
    // Thousands at once, in few transactions; those that exist are left alone. How many were made.
    virtual Task<Result<std::size_t>> create_all(std::vector<Account> accounts) = 0;
    // Everything of it: devices, roster, log, private data. not_found when there is none.
    virtual Task<Result<void>> remove(AccountId account) = 0;
    // In the order of their JIDs, those behind `after`, at most `limit`.
    virtual Task<Result<std::vector<Account>>> list(std::string domain, std::string after, std::size_t limit) = 0;
    virtual Task<Result<std::uint64_t>> count(std::string domain) = 0;  // an empty domain: all
    virtual Task<Result<void>> set_disabled(AccountId account, bool disabled) = 0;
    virtual Task<Result<void>> set_last_logout(AccountId account, Time when, std::string status) = 0;

    // One transaction: all old devices go, `device` comes, under a new salt (registering again; password change).
    // The new device inherits the lowest cursor of the old ones, so that nothing undelivered is skipped.
    virtual Task<Result<void>> replace_devices(AccountId account, Salt salt, Device device) = 0;
    // Unless the account has `most` devices already: false. not_found: the account is gone, or the device that approved this one.
    virtual Task<Result<bool>> add_device(AccountId account, Device device, std::size_t most) = 0;
    virtual Task<Result<void>> remove_device(AccountId account, std::string device) = 0;
    virtual Task<Result<void>> set_reads_archive(AccountId account, std::string device, bool reads) = 0;
    virtual Task<Result<void>> set_device_seen(AccountId account, std::string device, Time when) = 0;
    virtual Task<Result<void>> set_device_software(AccountId account, std::string device, std::string software) = 0;
    virtual Task<Result<void>> set_device_networks(AccountId account, std::string device, std::string networks) = 0;
    // XEP-0480: for a hash that the device has no verifier of, or one with the stored key `wrong`; not_found when it has another, or is gone.
    virtual Task<Result<void>> add_verifier(AccountId account, std::string device, Hash hash, Verifier verifier, std::string wrong = {}) = 0;
    virtual Task<Result<std::vector<PartialAccount>>> partial() = 0;
};

// ---- roster (RFC 6121 §2, appendix A) --------------------------------------------------------------------------------

enum class Subscription : std::uint8_t { none, to, from, both };

struct RosterItem {
    Jid jid;
    std::string name;
    Subscription subscription = Subscription::none;
    bool ask = false;             // pending out: ask='subscribe'
    bool approved = false;        // pre-approval, RFC 6121 §3.4
    bool pending_in = false;      // a subscription request waits for the user's answer
    std::string request;          // that request as XML, to be delivered again at every login (RFC 6121 §3.1.3)
    bool in_roster = true;        // false: known only for pending_in or approved; not shown to clients
    bool removed = false;         // kept as a tombstone for roster versioning
    std::vector<std::string> groups;
    std::uint64_t version = 0;    // of the roster when this item last changed
};

class Rosters {
public:
    virtual ~Rosters() = default;
    virtual Task<Result<std::vector<RosterItem>>> load(AccountId account) = 0;  // tombstones included
    virtual Task<Result<void>> put(AccountId account, RosterItem item) = 0;     // by (account, item.jid)
    virtual Task<Result<void>> forget(AccountId account, Jid jid) = 0;          // without a tombstone
};

// ---- the account's log: one, whatever devices it has -----------------------------------------------------------------

enum class Direction : std::uint8_t { incoming, outgoing };

struct LogEntry {
    AccountId account = 0;
    LogId id = 0;
    Direction direction = Direction::incoming;
    Jid peer;                     // full or bare: sender of an incoming, addressee of an outgoing message
    std::string stanza_type;      // message type: chat, normal, …
    std::string origin_id;        // the stanza's id, may be empty
    bool is_archived = true;      // false: kept only until every device has it
    std::string words;            // what full-text search looks at: the body with its case folded, or empty
    xmpp::Wire xml;               // the stanza as it is on a stream of clients
};

// What of an archive is asked for (XEP-0313): entries that are archived, with their ids in [from, to], limited to a page.
struct ArchiveQuery {
    std::optional<Jid> with;              // a bare JID: whatever the resource; one's own: messages to oneself
    LogId from = 0, to = ~LogId{0};
    std::vector<LogId> ids;               // these alone, when there are any
    std::vector<std::string> words;       // each occurs in the entry's words; case folded
    std::vector<LogId> must_exist;        // not_found when one of these is not in the archive
    std::size_t limit = 100;
    bool backwards = false;               // the last page rather than the first
    bool is_counted = false;              // how many there are, besides

    // Much may have to be looked at for little.
    bool is_search() const { return !words.empty() || is_counted || (with && with->is_full()); }
};

struct ArchivePage {
    std::vector<LogEntry> entries;        // oldest first
    bool is_complete = false;             // nothing was left out, for the limit or for the bytes
    std::optional<std::uint64_t> count;
};

struct ArchiveEnds {
    LogId first = 0, last = 0;            // 0: it is empty
};

// Of entries' XML in one answer; one entry is always there. With so many there may be more entries.
inline constexpr std::size_t most_bytes_read = 512U << 10U;
inline std::size_t bytes_of(std::span<const LogEntry> entries) {
    std::size_t bytes = 0;
    for (const LogEntry& entry : entries) bytes += entry.xml.size();
    return bytes;
}

// Appends of all workers are committed in groups: one transaction every few milliseconds.
class Messages {
public:
    virtual ~Messages() = default;
    // Any thread with an Executor, never blocks. `committed` runs there once the entry is durable, or failed for good (after
    // retries that outlast a restart of the database), in the order of an account's entries; refused at once: in the call.
    virtual void append(LogEntry entry, std::function<void(const Result<void>&)> committed) = 0;
    // Moves a device's cursor forward, never back; collected and written with the next group. Fire and forget: after a
    // crash a device may be given again what it did not ack.
    virtual void advance_cursor(AccountId account, std::string device, LogId to) = 0;
    // An entry beyond the device's cursor was delivered out of turn; not delivered again at catch-up. Dropped when the
    // cursor passes it.
    virtual void mark_delivered(AccountId account, std::string device, LogId id) = 0;

    // Entries with after < id, oldest first, at most `limit`. Includes what was appended before the call by any thread.
    virtual Task<Result<std::vector<LogEntry>>> read(AccountId account, LogId after, std::size_t limit) = 0;
    // Incoming entries behind the device's cursor `after` that were not delivered out of turn, oldest first; no more than `limit`
    // and most_bytes_read.
    virtual Task<Result<std::vector<LogEntry>>> read_undelivered(AccountId account, std::string device, LogId after, std::size_t limit) = 0;
    virtual Task<Result<ArchivePage>> query(AccountId account, ArchiveQuery query) = 0;
    virtual Task<Result<ArchiveEnds>> archive_ends(AccountId account) = 0;
    // Whether incoming entries with from < id <= to are kept for devices alone, so that no archive query shows them.
    virtual Task<Result<bool>> has_unarchived(AccountId account, LogId from, LogId to) = 0;
    // The newest entry of that peer's bare JID with that origin id.
    virtual Task<Result<std::optional<LogEntry>>> find_by_origin(AccountId account, Direction direction, Jid peer, std::string origin_id) = 0;
    // Puts other XML in its place, without words to search for.
    virtual Task<Result<void>> replace(AccountId account, LogId id, xmpp::Wire xml) = 0;
    virtual Task<Result<LogId>> last_id(AccountId account) = 0;  // 0: the log is empty
    virtual Task<Result<std::uint64_t>> count_undelivered(AccountId account, std::string device) = 0;
    // Entries of all accounts older than `before`, at most `limit` in one transaction. How many went.
    virtual Task<Result<std::size_t>> remove_before(Time before, std::size_t limit) = 0;
    // Entries that every device of their account has, and all of rooms, at most `limit`; devices unseen since `unseen` do not count.
    virtual Task<Result<std::size_t>> remove_delivered(Time unseen, std::size_t limit) = 0;
    // The same, of entries that are not archived.
    virtual Task<Result<std::size_t>> remove_delivered_unarchived(Time unseen, std::size_t limit) = 0;
};

// ---- smaller things --------------------------------------------------------------------------------------------------

class PrivateXml {  // XEP-0049, keyed by namespace and element name
public:
    virtual ~PrivateXml() = default;
    virtual Task<Result<std::string>> load(AccountId account, std::string key) = 0;  // "" when there is none
    // "" removes. full: the account would keep more than it may, and nothing has changed.
    virtual Task<Result<void>> store(AccountId account, std::string key, std::string xml) = 0;
    virtual Task<Result<std::vector<std::string>>> all(AccountId account) = 0;
};

class Vcards {  // XEP-0054
public:
    virtual ~Vcards() = default;
    virtual Task<Result<std::string>> load(AccountId account) = 0;  // "" when there is none
    virtual Task<Result<void>> store(AccountId account, std::string xml) = 0;
};

class BlockLists {  // XEP-0191
public:
    virtual ~BlockLists() = default;
    virtual Task<Result<std::vector<Jid>>> load(AccountId account) = 0;
    virtual Task<Result<void>> change(AccountId account, std::vector<Jid> block, std::vector<Jid> unblock) = 0;
    virtual Task<Result<void>> clear(AccountId account) = 0;
};

enum class Archiving : std::uint8_t { always, never, roster };

struct ArchivePreferences {              // XEP-0441
    Archiving by_default = Archiving::always;
    std::vector<Jid> always, never;
};

class ArchivePreferencesOf {
public:
    virtual ~ArchivePreferencesOf() = default;
    virtual Task<Result<std::optional<ArchivePreferences>>> load(AccountId account) = 0;   // nullopt: the account has set none
    virtual Task<Result<void>> store(AccountId account, ArchivePreferences preferences) = 0;
};

// A phone number that waits for its PIN.
struct PendingRegistration {
    std::string id;           // random
    std::string phone;        // E.164
    std::string pin_salt, pin_hash;
    std::uint32_t tries_left = 0;
    Time created{}, expires{};
    bool used = false;
};

class Registrations {
public:
    virtual ~Registrations() = default;
    virtual Task<Result<void>> create(PendingRegistration registration) = 0;
    virtual Task<Result<std::optional<PendingRegistration>>> find(std::string id) = 0;
    // Takes one try away, atomically, before the PIN is compared: tries left afterwards, or nullopt when none was left,
    // it was used, or it has expired at `now`.
    virtual Task<Result<std::optional<std::uint32_t>>> take_try(std::string id, Time now) = 0;
    // Marks it used, atomically; false when it was used already.
    virtual Task<Result<bool>> use(std::string id) = 0;
    // How many were created for the number since then, and when the last one was.
    struct Recent { std::uint32_t count = 0; Time last{}; };
    virtual Task<Result<Recent>> recent(std::string phone, Time since) = 0;
    virtual Task<Result<void>> remove_before(Time before) = 0;
};

// What a client that has logged in may log in with again (XEP-0484).
struct FastToken {
    std::string client;           // a hash of what it calls itself
    std::string device, mechanism;
    std::string seed;             // what the token is made from, with a key that is not in the database
    Time expires{};
};

class FastTokens {
public:
    virtual ~FastTokens() = default;
    virtual Task<Result<std::vector<FastToken>>> find(AccountId account, std::string client) = 0;   // the newest first; at most two
    // In the place of a new one that was never used; when the device has too many clients, the one that expires first goes.
    virtual Task<Result<void>> put(AccountId account, FastToken token) = 0;
    virtual Task<Result<void>> remove_expired(Time now) = 0;
    virtual Task<Result<std::vector<std::string>>> devices(AccountId account, Time now) = 0;   // that have one which is good
    // The older one goes. False: there is no such token, or its count has been as high already.
    virtual Task<Result<bool>> use(AccountId account, std::string client, std::string seed, std::optional<std::uint32_t> count) = 0;
    virtual Task<Result<void>> remove(AccountId account, std::string client, std::string seed) = 0;
};

// Where a client wants to be woken (XEP-0357 §5).
struct PushRegistration {
    Jid service;                  // who publishes it further, and …
    std::string node;             // … what that knows the client by
    std::string device, resource; // of the session that asked for it
    std::string options;          // what the service wants to be told: a data form as XML, or ""
};

class PushRegistrations {
public:
    virtual ~PushRegistrations() = default;
    virtual Task<Result<std::vector<PushRegistration>>> find(AccountId account) = 0;
    virtual Task<Result<void>> put(AccountId account, PushRegistration registration) = 0;   // in the place of one for that service and node
    virtual Task<Result<void>> remove(AccountId account, Jid service, std::string node) = 0;
};

// Numbers whose owners let others find them.
class FindableNumbers {
public:
    virtual ~FindableNumbers() = default;
    virtual Task<Result<bool>> has(AccountId account) = 0;
    virtual Task<Result<void>> put(AccountId account, std::string number) = 0;   // E.164
    virtual Task<Result<void>> remove(AccountId account) = 0;
    struct Found { std::string number; Jid jid; };
    virtual Task<Result<std::vector<Found>>> find(std::vector<std::string> numbers) = 0;   // of accounts that are not disabled
};

// A session that waits to be resumed while no server runs.
struct StoredSession {
    AccountId account = 0;
    Jid jid;                      // full
    std::string device;
    std::string state;            // what the server keeps of it; text
};

class StoredSessions {
public:
    virtual ~StoredSessions() = default;
    // All or none, in the place of those with that address; one of a device that is gone is left out.
    virtual Task<Result<void>> put(std::vector<StoredSession> sessions) = 0;
    virtual Task<Result<std::vector<StoredSession>>> all() = 0;
    virtual Task<Result<void>> clear() = 0;
};

// A companion that waits for a device of some account to approve it.
struct LinkRequest {
    std::string id, code;         // hashes of what the companion holds, and of what it shows
    std::string device_name, software, identity_key, omemo_id;
    Time created{}, expires{};
    Jid account;                  // bare; empty: nobody has approved it yet
    std::string approved_by, signature;
    bool used = false;
};

class LinkRequests {
public:
    virtual ~LinkRequests() = default;
    virtual Task<Result<void>> create(LinkRequest request) = 0;   // conflict: the id or the code is taken
    virtual Task<Result<std::optional<LinkRequest>>> find(std::string id) = 0;
    virtual Task<Result<std::optional<LinkRequest>>> find_by_code(std::string code) = 0;
    // Atomically; false when it has expired at `now` or somebody approved it already.
    virtual Task<Result<bool>> approve(std::string code, Jid account, std::string device, std::string signature, Time now) = 0;
    // Marks an approved one used, atomically; false when it was used already, or has expired.
    virtual Task<Result<bool>> use(std::string id, Time now) = 0;
    virtual Task<Result<void>> remove_before(Time before) = 0;
};

// A link that lets its holder in: to be a contact of who invites, to have an account here, or both.
struct Invitation {
    enum class Purpose : std::uint8_t { contact, account };
    std::string id;               // for lists; opens nothing
    std::string token;            // a hash of what the link holds
    AccountId inviter_id = 0;     // 0: nobody's, an admin's
    Jid inviter;                  // bare; follows from that
    Jid address;                  // of the account that may be made: bare, or its domain alone
    Purpose purpose = Purpose::contact;
    bool registers = false;       // its holder needs nothing else for an account with a password
    bool subscribes = false;      // holder and inviter become contacts
    std::uint32_t uses_left = 1;
    Time created{}, expires{};
};

// They go with the account of who invited, and are not found while that is disabled.
class Invitations {
public:
    virtual ~Invitations() = default;
    // conflict: the id or the token is taken, or another one keeps the address, which names an account, for its holder.
    virtual Task<Result<void>> create(Invitation invitation) = 0;
    virtual Task<Result<std::optional<Invitation>>> find(std::string token) = 0;
    // The one that keeps this address, an account's, for its holder: not expired at `now`, used up or not, for its account may be in the making.
    virtual Task<Result<std::optional<Invitation>>> find_keeping(Jid address, Time now) = 0;
    // Those that are good at `now`, oldest first, at most `limit`. Inviter 0: everybody's.
    virtual Task<Result<std::vector<Invitation>>> list(AccountId inviter, Time now, std::size_t limit) = 0;
    // One use less, atomically; false: there was none left, it has been removed, or it would not be found.
    virtual Task<Result<bool>> use(std::string id) = 0;
    virtual Task<Result<void>> give_back(std::string id) = 0;        // such a use
    virtual Task<Result<bool>> remove(std::string id) = 0;           // false: there is none
    virtual Task<Result<void>> remove_expired(Time before) = 0;
};

// Secrets of the server itself that must survive a restart (such as the key of fake salts).
class ServerSecrets {
public:
    virtual ~ServerSecrets() = default;
    // The secret of that name; `candidate` becomes it when there is none yet.
    virtual Task<Result<std::string>> load_or_store(std::string name, std::string candidate) = 0;
};

// ---- all of it -------------------------------------------------------------------------------------------------------

struct Options {
    std::string url;                     // sqlite:PATH, sqlite::memory:, mysql://user:password@host:port/database?option=value
    std::size_t connections = 4;         // MySQL: of the pool; SQLite: readers, beside a writer. The log's writer has its own
    std::size_t waiting = 10000;         // jobs that may wait for a connection before `unavailable` is answered
    std::chrono::milliseconds wait{10000};         // and how long each may
    std::chrono::milliseconds longest_search{5000};   // of an archive; a longer one fails as `unavailable`
    std::chrono::milliseconds group_commit{2};     // how long the log's writer collects at most
    bool run_inline = false;             // everything on the caller's thread, at once (in-process scenes, SQLite only)
    std::function<void(std::string_view level, std::string_view text)> log;
    // What the log's writer keeps while the database does not answer; beyond any of these, appends fail as `unavailable`.
    std::size_t log_entries = 200000;
    std::size_t log_bytes = 256U << 20U;
    std::chrono::milliseconds log_age{60000};
};

// Depth of a queue, for `tern queues` and metrics. Any thread.
struct QueueDepth {
    std::string name;
    std::uint64_t depth = 0, high_water = 0;
    std::chrono::microseconds oldest{};
};

class Storage {
public:
    virtual ~Storage() = default;  // closes
    // Waits until what was appended is committed or has failed. What else waits fails, and so does what is asked from now on:
    // whoever awaits something gets its answer while all that it uses is still there. For when only this thread is left.
    virtual void close() {}
    virtual Accounts& accounts() = 0;
    virtual Rosters& rosters() = 0;
    virtual Messages& messages() = 0;
    virtual PrivateXml& private_xml() = 0;
    virtual Vcards& vcards() = 0;
    virtual BlockLists& block_lists() = 0;
    virtual ArchivePreferencesOf& archive_preferences() = 0;
    virtual Registrations& registrations() = 0;
    virtual LinkRequests& link_requests() = 0;
    virtual Invitations& invitations() = 0;
    virtual FastTokens& fast_tokens() = 0;
    virtual PushRegistrations& push_registrations() = 0;
    virtual FindableNumbers& findable_numbers() = 0;
    virtual StoredSessions& stored_sessions() = 0;
    virtual Rooms& rooms() = 0;
    virtual ServerSecrets& secrets() = 0;

    virtual std::vector<QueueDepth> queues() const = 0;
    virtual bool is_healthy() const = 0;         // the last thing asked of the database was answered
    virtual std::string describe() const = 0;    // engine, version, schema; never a password
};

// Connects, migrates the schema, starts the pool. Blocks. A database that is down is an error; the caller retries.
Result<std::unique_ptr<Storage>> open(Options options);

}  // namespace storage
