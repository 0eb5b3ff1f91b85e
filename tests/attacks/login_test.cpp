// SPDX-License-Identifier: MIT
// Attacks on logging in: SASL as it should not be, and what its answers give away.
#include "tests/attacks/attacked.h"
#include "tests/support/scram_client.h"
#include "tests/support/sms_file.h"
#include "xmpp/base64.h"

using namespace tests;
using namespace std::chrono_literals;

namespace {

constexpr const char* sasl = "urn:ietf:params:xml:ns:xmpp-sasl";

std::string auth(const std::string& mechanism, const std::string& data) {
    return "<auth xmlns='" + std::string{sasl} + "' mechanism='" + mechanism + "'>" +
           (data.empty() ? "=" : xmpp::base64(data)) + "</auth>";
}

std::string response(const std::string& data) {
    return "<response xmlns='" + std::string{sasl} + "'>" + xmpp::base64(data) + "</response>";
}

std::string plain(const std::string& authzid, const std::string& user, const std::string& password) {
    return authzid + '\0' + user + '\0' + password;
}

// The name of what came: success, challenge, or the condition of the failure.
std::string outcome(WireClient& client, const std::string& sent) {
    client.send(sent);
    const Node answered = client.element();
    return answered.name == "failure" && !answered.children.empty() ? answered.children.front().name
                                                                    : answered.name;
}

std::string challenge(WireClient& client, const std::string& sent) {
    client.send(sent);
    const Node answered = client.element();
    if (answered.name != "challenge") throw std::runtime_error{"no challenge but:\n" + indented(answered)};
    return xmpp::parse_base64(answered.text).value_or("");
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    return at == std::string::npos ? text : text.replace(at, what.size(), by);
}

std::string everything_from(RawSocket& socket) {
    std::string all;
    const auto until = std::chrono::steady_clock::now() + WireClient::patience;
    while (!socket.is_over() && std::chrono::steady_clock::now() < until) all += socket.receive(100ms);
    return all;
}

std::string iterations_in(const std::string& server_first) {
    return server_first.substr(server_first.find(",i="));
}

}  // namespace

TEST_CASE("row 20: nobody logs in as somebody else") {
    Attacked attacked;
    const std::vector<std::string> foreign{
        "juliet@localhost",        "juliet", "localhost",          "romeo@elsewhere.example",
        "romeo@localhost/orchard", "@",      "romeo@localhost\x01"};
    for (const std::string& authzid : foreign) {
        CAPTURE(authzid);
        WireClient client = attacked.client();
        client.open_stream();
        CHECK(outcome(client, auth("PLAIN", plain(authzid, "romeo", LiveServer::password))) ==
              "invalid-authzid");
        CHECK(outcome(client, auth("SCRAM-SHA-256", "n,a=" + authzid + ",n=romeo,r=abcdefghijk")) ==
              "invalid-authzid");
    }
    WireClient client = attacked.client();
    client.open_stream();
    CHECK(outcome(client, auth("PLAIN", plain("ROMEO@LocalHost", "Romeo", LiveServer::password))) ==
          "success");
    client.open_stream();
    client.bind("orchard");
    CHECK(client.full_jid() == "romeo@localhost/orchard");
    attacked.check_unharmed();
}

TEST_CASE("row 21: SCRAM is held to its nonce, its header and its binding") {
    Attacked attacked;
    const auto final_after = [&](const std::function<std::string(const std::string&)>& change) {
        WireClient client = attacked.client();
        client.open_stream();
        ScramClient scram{"romeo", LiveServer::password};
        const std::string server_first = challenge(client, auth("SCRAM-SHA-256", scram.first()));
        return outcome(client, response(change(scram.final(server_first).value())));
    };
    CHECK(final_after([](const std::string& final) { return final; }) == "success");
    CHECK(final_after([](const std::string& final) { return replaced(final, ",r=", ",r=x"); }) ==
          "not-authorized");
    CHECK(final_after([](const std::string& final) { return replaced(final, "c=biws", "c=eSws"); }) ==
          "not-authorized");  // "y,,"
    CHECK(final_after([](const std::string& final) {
              return replaced(final, "c=biws", "c=" + xmpp::base64("n,a=juliet,"));
          }) == "not-authorized");
    CHECK(final_after([](const std::string& final) { return replaced(final, ",p=", ",m=x,p="); }) ==
          "malformed-request");
    CHECK(final_after([](const std::string& final) { return final.substr(0, final.find(",p=")); }) ==
          "malformed-request");
    CHECK(final_after([](const std::string&) { return std::string{}; }) == "malformed-request");

    const std::string bare = "n=romeo,r=abcdefghijk";
    const std::vector<std::tuple<std::string, std::string, std::string>> firsts{
        {"SCRAM-SHA-256", "y,," + bare,
         "not-authorized"},  // binding was offered: somebody took the offer away
        {"SCRAM-SHA-256", "p=tls-exporter,," + bare, "malformed-request"},
        {"SCRAM-SHA-256-PLUS", "n,," + bare, "malformed-request"},
        {"SCRAM-SHA-256-PLUS", "p=tls-nonsense,," + bare, "not-authorized"},
        {"SCRAM-SHA-256", "n,,m=x," + bare, "malformed-request"},
        {"SCRAM-SHA-256", "n,,n=romeo", "malformed-request"},
        {"SCRAM-SHA-256", "n,,n=romeo,r=", "malformed-request"},
        {"SCRAM-SHA-256", "n,,n=ro=6Deo,r=abcdefghijk", "malformed-request"},
        {"SCRAM-SHA-256", std::string("n,,n=ro\0meo,r=abc", 17), "malformed-request"},
        {"SCRAM-MD5", "n,," + bare, "invalid-mechanism"},
        {"EXTERNAL", "", "invalid-mechanism"},  // row 22: there are no client certificates
        {"ANONYMOUS", "", "invalid-mechanism"},
        {"scram-sha-256", "n,," + bare, "invalid-mechanism"},
    };
    for (const auto& [mechanism, first, expected] : firsts) {
        CAPTURE(mechanism, first);
        WireClient client = attacked.client();
        client.open_stream();
        CHECK(outcome(client, auth(mechanism, first)) == expected);
    }
    // Bound to another channel.
    WireClient client = attacked.client();
    client.open_stream();
    const std::string server_first = challenge(client, auth("SCRAM-SHA-256-PLUS", "p=tls-exporter,," + bare));
    const std::string final = "c=" + xmpp::base64("p=tls-exporter,,0123456789abcdef0123456789abcdef") + "," +
                              server_first.substr(0, server_first.find(',')) +
                              ",p=" + xmpp::base64(std::string(32, 'x'));
    CHECK(outcome(client, response(final)) == "not-authorized");
    attacked.check_unharmed();
}

TEST_CASE("row 23: malformed SASL is refused, counted, and does not fill the log") {
    Attacked attacked;
    const std::size_t log_before = attacked.server.log().size();
    const std::vector<std::string> malformed{
        auth("PLAIN", std::string(18, '\0')),
        auth("PLAIN", "romeo"),
        auth("PLAIN", ""),
        auth("PLAIN", std::string(10'000, 'x')),
        auth("PLAIN", plain("", "", "")),
        auth("PLAIN", plain("", "romeo", "")),
        auth("PLAIN", plain("", "\xff\xfe", "secret")),
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%%%</auth>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AA=A</auth>",
        response("x"),
        "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        auth("SCRAM-SHA-256", std::string(200, ',')),
        auth("SCRAM-SHA-256", std::string(200, '\0')),
    };
    int connections = 0;
    for (int round = 0; round < 4; ++round) {
        for (std::size_t at = 0; at < malformed.size(); at += 5, ++connections) {
            WireClient tybalt = attacked.client();
            tybalt.open_stream();
            for (std::size_t i = at; i < at + 5 && i < malformed.size(); ++i) {
                CAPTURE(malformed[i]);
                tybalt.send(malformed[i]);
                Node answered = tybalt.element();
                if (answered.name ==
                    "challenge") {  // nothing was sent where PLAIN might have been: the server asks for it
                    tybalt.send(response(std::string(18, '\0')));
                    answered = tybalt.element();
                }
                CHECK(answered.name == "failure");
            }
            CHECK(tybalt.end().condition == "policy-violation");
        }
    }
    CHECK(attacked.server.log().size() - log_before < static_cast<std::size_t>(connections) * 1200);
    attacked.check_unharmed();
}

TEST_CASE("row 24: a wrong proof is a wrong proof, wherever it is wrong") {
    Attacked attacked;
    for (const std::size_t at : {0UL, 15UL, 31UL, 100UL}) {
        CAPTURE(at);
        WireClient client = attacked.client();
        client.open_stream();
        ScramClient scram{"romeo", LiveServer::password};
        const std::string final =
            scram.final(challenge(client, auth("SCRAM-SHA-256", scram.first()))).value();
        const std::size_t proof = final.find(",p=") + 3;
        std::string bytes = xmpp::parse_base64(final.substr(proof)).value();
        if (at < bytes.size())
            bytes[at] = static_cast<char>(bytes[at] ^ 1);
        else
            std::fill(bytes.begin(), bytes.end(), '\0');
        client.send(response(final.substr(0, proof) + xmpp::base64(bytes)));
        const Node refused = client.element();
        REQUIRE(refused.child("not-authorized", sasl));
        REQUIRE(refused.child("text", sasl));
        CHECK(refused.child("text", sasl)->text == "Wrong user name or password.");
    }
    attacked.check_unharmed();
}

TEST_CASE("row 27: who has an account is not told by login, registration, or questions to it") {
    Attacked attacked{{{"TERN_REGISTRATION_OPEN", "true"}, {"TERN_REGISTRATION_RESEND_AFTER", "0"}}};
    // One with a number and one with a password, made in the usual ways.
    {
        WireClient fresh = attacked.client();
        fresh.open_stream();
        CHECK(fresh
                  .ask("set",
                       "<query "
                       "xmlns='jabber:iq:register'><username>nurse</username><password>secret</password></"
                       "query>",
                       "")
                  .attr_or_empty("type") == "result");
        fresh.ask("set", "<query xmlns='jabber:iq:register'><phone>+4915112345678</phone></query>", "");
        const std::string pin = pin_in_sms_file(attacked.server.sms_file(), "+4915112345678");
        CHECK(fresh.ask("set", "<query xmlns='jabber:iq:register'><key>" + pin + "</key></query>", "")
                  .attr_or_empty("type") == "result");
    }
    const auto told_of = [&](const std::string& user) {
        WireClient client = attacked.client();
        client.open_stream();
        client.send(auth("PLAIN", plain("", user, "wrong")));
        const std::string by_plain = indented(client.element());
        const std::string first = challenge(client, auth("SCRAM-SHA-256", "n,,n=" + user + ",r=abcdefghijk"));
        client.send("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        client.element();
        const std::string second =
            challenge(client, auth("SCRAM-SHA-256", "n,,n=" + user + ",r=abcdefghijk"));
        const auto salt = [](const std::string& text) { return text.substr(text.find(",s=")); };
        CHECK(salt(first) == salt(second));  // the same each time, as a real one
        CHECK(salt(first).size() == std::string{",s=,i="}.size() + 24 + iterations_in(first).size() - 3);
        return by_plain + iterations_in(first);
    };
    CHECK(told_of("nurse") == told_of("nobody"));
    CHECK(told_of("4915112345678") == told_of("4915112345679"));

    WireClient romeo = attacked.romeo();
    romeo.be_available();
    romeo.forget();
    const auto answers = [&](const std::string& user) {
        std::string all;
        const std::string jid = user + "@localhost";
        for (const char* question :
             {"<query xmlns='http://jabber.org/protocol/disco#info'/>",
              "<query xmlns='http://jabber.org/protocol/disco#items'/>", "<query xmlns='jabber:iq:last'/>",
              "<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='jabber:iq:roster'/>",
              "<vCard xmlns='vcard-temp'/>", "<query xmlns='jabber:iq:version'/>",
              "<query xmlns='jabber:iq:private'><x xmlns='urn:example'/></query>", "<x xmlns='urn:example'/>",
              "<query xmlns='jabber:iq:register'/>"}) {
            for (const char* resource : {"", "/there"}) {
                Node reply = romeo.ask("get", question, jid + resource);
                std::erase_if(reply.attributes, [](const Attribute& attribute) {
                    return attribute.name == "id" || attribute.name == "from";
                });
                all += indented(reply);
            }
        }
        romeo.send("<presence type='probe' to='" + jid + "'/><presence to='" + jid + "'/>");
        romeo.ping();
        while (const auto more = romeo.next(0ms)) all += indented(*more);
        return all;
    };
    CHECK(answers("nurse") == answers("nobody"));
    attacked.check_unharmed({.cpu_seconds = 3});
}

// RFC 6120 §4.3.3, §4.9.1.2: the old stream is gone, its client reads from the start.
TEST_CASE("who goes on without a new header after <success/> or TLS gets an error in a new stream") {
    Attacked attacked;
    const auto is_an_error_in_a_stream = [](const std::string& bytes) {
        StreamReader reader;
        CAPTURE(bytes);
        CHECK(bytes.starts_with("<?xml version='1.0'?><stream:stream "));
        CHECK(reader.feed(bytes));
        CHECK(bytes.find("<stream:error>") != std::string::npos);
        CHECK(bytes.ends_with("</stream:error></stream:stream>"));
    };
    WireClient logged_in = attacked.client();
    logged_in.open_stream();
    REQUIRE(logged_in.authenticate("romeo", LiveServer::password));
    logged_in.send("<presence/>");
    is_an_error_in_a_stream(everything_from(logged_in.socket()));

    WireClient secured = attacked.client(WireClient::Door::plain);
    secured.open_stream();
    secured.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    REQUIRE(secured.element().name == "proceed");
    secured.socket().start_tls("localhost", "");
    secured.send("<presence/>");
    is_an_error_in_a_stream(everything_from(secured.socket()));
    attacked.check_unharmed();
}
