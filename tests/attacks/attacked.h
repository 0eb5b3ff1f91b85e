// SPDX-License-Identifier: MIT
// A server that is being attacked, a bystander who must notice nothing of it, and the check that no harm was
// done.
#pragma once

#include <catch2/catch.hpp>

#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"

namespace tests {

struct Bounds {
    double cpu_seconds = 2;
    double megabytes = 24;
};

class Attacked {
public:
    explicit Attacked(TernProcess::Environment settings = {})
        : server{TERN_BINARY, {.settings = std::move(settings)}},
          benvolio{*server, "benvolio@localhost/garden", LiveServer::password},
          burden{server.process().pid()} {}

    WireClient client(WireClient::Door door = WireClient::Door::direct_tls) const {
        return WireClient{*server, door};
    }
    WireClient romeo() const { return WireClient{*server, "romeo@localhost/orchard", LiveServer::password}; }
    WireClient juliet() const {
        return WireClient{*server, "juliet@localhost/balcony", LiveServer::password};
    }

    // It lives, serves those who are there and those who come, spent no more than that, and called nothing an
    // error.
    void check_unharmed(Bounds bounds = {}) {
        REQUIRE(server.is_alive());
        CHECK_NOTHROW(benvolio.ping(std::chrono::seconds{5}));
        CHECK(burden.cpu_seconds() < bounds.cpu_seconds * instrumented);
        CHECK(burden.megabytes() < bounds.megabytes * instrumented);
        CHECK_NOTHROW(WireClient{*server, "mercutio@localhost/square", LiveServer::password}.ping());
        CHECK(server.process().logged_errors() == std::vector<std::string>{});
    }

    LiveServer server;
    WireClient benvolio;
    Burden burden;
};

inline std::string repeated(std::string_view text, std::size_t times) {
    std::string all;
    all.reserve(text.size() * times);
    for (std::size_t i = 0; i < times; ++i) all += text;
    return all;
}

inline std::string header(const std::string& extra = "") {
    return "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
           "xmlns:stream='http://etherx.jabber.org/streams' " +
           extra + ">";
}

inline std::string condition_of(const Node& stanza) {
    for (const Node& child : stanza.children)
        if (child.name == "error" && !child.children.empty()) return child.children.front().name;
    return "";
}

}  // namespace tests
