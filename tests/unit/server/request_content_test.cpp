// SPDX-License-Identifier: MIT
// What a subscription request carries is written anew, kept and read again at every login (RFC 6121 §3.1.3), however many
// namespaces its client has thought of.
#include <set>

#include <catch2/catch.hpp>

#include "tests/support/in_process.h"
#include "tests/support/player.h"
#include "tests/support/scene.h"

namespace {

// " p:a0='' p:a1='' …" of " p:a#=''"
std::string numbered(const std::string& form, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) {
        std::string one = form;
        all += one.replace(one.find('#'), 1, std::to_string(i));
    }
    return all;
}

}  // namespace

TEST_CASE("a request full of namespaces is delivered at every login") {
    const auto scene = tests::parse_scene("requests", "# requests\n\n[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n"
                                                      "[Client] Mercutio\n\tjid: mercutio@localhost/m\n\tpassword: secret\n"
                                                      "[Client] Juliet\n\tjid: juliet@localhost/j\n\tpassword: secret\n\n-----\n\nRomeo connects\n");
    REQUIRE(scene);
    tests::InProcess stage{1};
    stage.open(*scene);
    {
        const auto romeo = stage.actor(*scene->role("Romeo")), mercutio = stage.actor(*scene->role("Mercutio")), juliet = stage.actor(*scene->role("Juliet"));
        romeo->connect();
        mercutio->connect();
        // Attributes that lean on a prefix further out; and as many declarations in scope as a stream may have.
        romeo->send("<presence type='subscribe' to='juliet@localhost' xmlns:p='u'><a" + numbered(" p:a#=''", 64) + "><b" + numbered(" p:a#=''", 64) +
                    "/></a></presence>");
        mercutio->send("<presence type='subscribe' to='juliet@localhost'><a" + numbered(" xmlns:a#='u'", 63) + "><b" + numbered(" xmlns:b#='u'", 62) +
                       "/></a></presence>");
        stage.settle();
        for (int login = 0; login < 2; ++login) {
            juliet->connect();
            juliet->send("<presence/>");
            stage.settle();
            std::set<std::string> who;
            while (const auto event = juliet->next()) {
                if (event->node.attr_or_empty("type") != "subscribe") continue;
                const std::string from = event->node.attr_or_empty("from");
                who.insert(from);
                const tests::Node* const a = event->node.child("a", tests::ns::client);
                REQUIRE(a);
                REQUIRE(a->child("b", tests::ns::client));
                if (from == "romeo@localhost") CHECK(a->child("b", tests::ns::client)->attributes.size() == 64);
            }
            CHECK(who == std::set<std::string>{"mercutio@localhost", "romeo@localhost"});
            juliet->disconnect();
        }
    }
    stage.close();
    CHECK(stage.logged_errors().empty());
}
