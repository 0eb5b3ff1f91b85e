// SPDX-License-Identifier: MIT
// Registration with a clock that is set by hand, SMS that are kept, and storage in memory; for the
// registration tests.
#pragma once

#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>

#include "auth/hash_pool.h"
#include "auth/registration.h"
#include "auth/sms.h"
#include "loop.h"

namespace auth_test {

class Phones final : public auth::SmsGateway {
public:
    bool send(auth::Sms sms) override {
        const std::lock_guard lock{mutex_};
        if (full) return false;
        sent_.push_back(std::move(sms));
        return true;
    }
    storage::QueueDepth depth() const override { return {}; }

    std::vector<auth::Sms> sent() const {
        const std::lock_guard lock{mutex_};
        return sent_;
    }
    std::string last_pin() const { return sent().back().text; }  // the template of the tests is "{pin}"
    bool full = false;

private:
    mutable std::mutex mutex_;
    std::vector<auth::Sms> sent_;
};

inline std::unique_ptr<storage::Storage> open_storage(const std::string& url = "sqlite::memory:",
                                                      bool run_inline = true) {
    storage::Options options;
    options.url = url;
    options.run_inline = run_inline;
    options.log = [](std::string_view, std::string_view) {};
    auto opened = storage::open(std::move(options));
    if (!opened) throw std::runtime_error{opened.error().text};
    return std::move(*opened);
}

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "tern-auth-XXXXXX").string();
        path_ = mkdtemp(name.data());
    }
    ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

// Storage that is another's but for what a test puts in between.
class Interposed final : public storage::Storage {
public:
    explicit Interposed(storage::Storage& inner) : inner_{inner} {}
    storage::Accounts* accounts_instead = nullptr;
    storage::Registrations* registrations_instead = nullptr;

    storage::Accounts& accounts() override {
        return accounts_instead ? *accounts_instead : inner_.accounts();
    }
    storage::Registrations& registrations() override {
        return registrations_instead ? *registrations_instead : inner_.registrations();
    }
    storage::Rosters& rosters() override { return inner_.rosters(); }
    storage::Messages& messages() override { return inner_.messages(); }
    storage::PrivateXml& private_xml() override { return inner_.private_xml(); }
    storage::Vcards& vcards() override { return inner_.vcards(); }
    storage::BlockLists& block_lists() override { return inner_.block_lists(); }
    storage::ArchivePreferencesOf& archive_preferences() override { return inner_.archive_preferences(); }
    storage::Invitations& invitations() override { return inner_.invitations(); }
    storage::LinkRequests& link_requests() override { return inner_.link_requests(); }
    storage::FastTokens& fast_tokens() override { return inner_.fast_tokens(); }
    storage::PushRegistrations& push_registrations() override { return inner_.push_registrations(); }
    storage::FindableNumbers& findable_numbers() override { return inner_.findable_numbers(); }
    storage::Rooms& rooms() override { return inner_.rooms(); }
    storage::StoredSessions& stored_sessions() override { return inner_.stored_sessions(); }
    storage::ServerSecrets& secrets() override { return inner_.secrets(); }
    std::vector<storage::QueueDepth> queues() const override { return {}; }
    bool is_healthy() const override { return true; }
    std::string describe() const override { return {}; }

private:
    storage::Storage& inner_;
};

inline auth::RegistrationRules plain_rules() {
    auth::RegistrationRules rules;
    rules.domain = "localhost";
    rules.sms_text = "{pin}";
    rules.iterations = 10;
    return rules;
}

struct Door {
    using Kind = auth::RegistrationError::Kind;
    using Started = xmpp::Result<auth::Registration::Started, auth::RegistrationError>;
    using Issued = xmpp::Result<auth::Registration::Issued, auth::RegistrationError>;

    Loop loop;
    storage::Time now{std::chrono::hours{500'000}};
    std::unique_ptr<storage::Storage> storage = open_storage();
    Interposed seen{*storage};
    auth::HashPool hashes{0};
    Phones phones;
    std::vector<std::string> changed;
    auth::Registration registration;

    explicit Door(auth::RegistrationRules rules = plain_rules())
        : registration{std::move(rules),
                       seen,
                       hashes,
                       phones,
                       [this] { return now; },
                       [this](const storage::Jid& jid) { changed.push_back(jid.text()); }} {}

    Started start(const std::string& phone = number, const std::string& address = "192.0.2.1") {
        return loop.run(registration.start(phone, address));
    }
    Issued confirm(const std::string& id, const std::string& pin, const std::string& device = "Pixel 9",
                   const std::string& address = "192.0.2.1") {
        return loop.run(registration.confirm(id, pin, device, address));
    }
    // The whole way for a number.
    auth::Registration::Issued register_now(const std::string& phone = number,
                                            const std::string& address = "192.0.2.1") {
        const auto started = start(phone, address);
        REQUIRE(started);
        const auto issued = confirm(started->id, phones.last_pin(), "Pixel 9", address);
        REQUIRE(issued);
        return *issued;
    }
    std::optional<storage::Account> account(const std::string& jid = "4915112345678@localhost") {
        auto found = loop.run(storage->accounts().find(*storage::Jid::parse(jid)));
        REQUIRE(found);
        return *found;
    }

    static inline const std::string number = "+4915112345678";
};

// Another number for each i below 10000.
inline std::string number_of(int i) {
    const std::string digits = std::to_string(10'000 + i);
    return "+491511234" + digits.substr(1);
}

}  // namespace auth_test
