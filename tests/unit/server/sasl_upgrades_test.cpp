// SPDX-License-Identifier: MIT
// What the log says of XEP-0480's tasks.
#include <algorithm>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "server/log.h"
#include "tests/support/in_process.h"

namespace {

// Both are asked for the hash before either has brought it.
constexpr std::string_view two_at_once = R"(# Two at once
# (§0)

[Account] romeo@localhost
	password: secret
	verifiers: SCRAM-SHA-1
[Raw] Phone
	tls: direct
[Raw] Tablet
	tls: direct

-----

Phone connects
Phone sends:
	<stream:stream from='romeo@localhost' to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
Phone receives:
	<stream:stream from='localhost' id='{any}' version='1.0'>
Phone receives:
	<stream:features scansion:strict='false'/>
Phone sends:
	<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'><initial-response>${SCRAM-SHA-1 first of romeo}</initial-response><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authenticate>
Phone receives:
	<challenge xmlns='urn:xmpp:sasl:2'>{any as PHONE}</challenge>
Phone sends:
	<response xmlns='urn:xmpp:sasl:2'>${SCRAM-SHA-1 final of romeo with secret to ${PHONE}}</response>
Phone receives:
	<continue xmlns='urn:xmpp:sasl:2' scansion:strict='false'/>
Phone sends:
	<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>
Phone receives:
	<task-data xmlns='urn:xmpp:sasl:2'><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='64'>{any as SALT}</salt></task-data>
Tablet connects
Tablet sends:
	<stream:stream from='romeo@localhost' to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>
Tablet receives:
	<stream:stream from='localhost' id='{any}' version='1.0'>
Tablet receives:
	<stream:features scansion:strict='false'/>
Tablet sends:
	<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'><initial-response>${SCRAM-SHA-1 first of romeo}</initial-response><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authenticate>
Tablet receives:
	<challenge xmlns='urn:xmpp:sasl:2'>{any as TABLET}</challenge>
Tablet sends:
	<response xmlns='urn:xmpp:sasl:2'>${SCRAM-SHA-1 final of romeo with secret to ${TABLET}}</response>
Tablet receives:
	<continue xmlns='urn:xmpp:sasl:2' scansion:strict='false'/>
Tablet sends:
	<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>
Tablet receives:
	<task-data xmlns='urn:xmpp:sasl:2'><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='64'>{any as SALT}</salt></task-data>
Phone sends:
	<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>${SHA-256 of secret salted with ${SALT} 64 times}</hash></task-data>
Phone receives:
	<success xmlns='urn:xmpp:sasl:2' scansion:strict='false'/>
Phone receives:
	<stream:features scansion:strict='false'/>
Tablet sends:
	<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>${SHA-256 of secret salted with ${SALT} 64 times}</hash></task-data>
Tablet receives:
	<success xmlns='urn:xmpp:sasl:2' scansion:strict='false'/>
Tablet receives:
	<stream:features scansion:strict='false'/>
)";

std::vector<std::string> logged;   // everything is on one thread here

// A stage that keeps what is logged.
class Overheard final : public tests::Stage {
public:
    std::optional<std::string> reason_to_skip(const tests::Scene& scene) const override { return inner_.reason_to_skip(scene); }
    void open(const tests::Scene& scene) override {
        inner_.open(scene);
        logged.clear();
        server::log::open({.level = "info", .format = "text", .file = "/dev/null"});
        server::log::watch([](server::log::Level, std::string_view line) { logged.emplace_back(line); });
    }
    std::unique_ptr<tests::Actor> actor(const tests::Role& role) override { return inner_.actor(role); }
    void settle() override { inner_.settle(); }
    void pass(std::chrono::seconds time) override { inner_.pass(time); }
    void restart() override { inner_.restart(); }
    xmpp::Time now() const override { return inner_.now(); }
    std::string pin_sent_to(const std::string& number) override { return inner_.pin_sent_to(number); }
    void close() override { inner_.close(); }
    std::vector<std::string> logged_errors() override { return {}; }

private:
    tests::InProcess inner_;
};

}  // namespace

TEST_CASE("a verifier is said to be added by the one who has added it, when two bring it at once") {
    const auto scene = tests::parse_scene("two at once", two_at_once);
    REQUIRE(scene);
    Overheard stage;
    const tests::Outcome outcome = tests::play(*scene, stage);
    INFO(outcome.text);
    REQUIRE(outcome.kind == tests::Outcome::Kind::passed);
    CHECK(std::ranges::count_if(logged, [](const std::string& line) { return line.starts_with("verifier added"); }) == 1);
}
