// SPDX-License-Identifier: MIT
// What only its own account sees, and may fill: private XML (XEP-0049) and the block list (XEP-0191) have an end.
#include <catch2/catch.hpp>

#include "tests/support/in_process.h"
#include "tests/support/player.h"
#include "tests/support/scene.h"

namespace {

class Stage {
public:
    Stage() {
        const auto scene = tests::parse_scene("bounds", "# bounds\n\n[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n\n-----\n\nRomeo connects\n");
        REQUIRE(scene);
        stage_.open(*scene);
        romeo_ = stage_.actor(*scene->role("Romeo"));
        romeo_->connect();
    }
    ~Stage() {
        romeo_.reset();
        stage_.close();
    }

    // "result", or the condition of the error.
    std::string answer_to(const std::string& payload) {
        romeo_->send("<iq type='set' id='s'>" + payload + "</iq>");
        stage_.settle();
        const auto answer = romeo_->next();
        REQUIRE(answer);
        const tests::Node* const error = answer->node.child("error", tests::ns::client);
        return error ? error->children.at(0).name : answer->node.attr_or_empty("type");
    }

private:
    tests::InProcess stage_{1};
    std::unique_ptr<tests::Actor> romeo_;
};

std::string private_elements(int from, int to) {
    std::string xml = "<query xmlns='jabber:iq:private'>";
    for (int i = from; i < to; ++i) xml += "<a" + std::to_string(i) + " xmlns='x:y'/>";
    return xml + "</query>";
}

// Of about 2,000 bytes each.
std::string blocked(int from, int to) {
    std::string xml = "<block xmlns='urn:xmpp:blocking'>";
    for (int i = from; i < to; ++i) xml += "<item jid='" + std::to_string(1000 + i) + std::string(996, 'a') + "@x.example/" + std::string(989, 'r') + "'/>";
    return xml + "</block>";
}

}  // namespace

TEST_CASE("an account keeps so many elements of private XML") {
    Stage stage;
    CHECK(stage.answer_to(private_elements(0, 1000)) == "result");
    CHECK(stage.answer_to(private_elements(1000, 1001)) == "resource-constraint");
    CHECK(stage.answer_to(private_elements(7, 8)) == "result");   // in the place of what is there
}

TEST_CASE("a block list takes so many bytes") {
    Stage stage;
    for (int i = 0; i < 480; i += 120) CHECK(stage.answer_to(blocked(i, i + 120)) == "result");
    CHECK(stage.answer_to(blocked(480, 600)) == "resource-constraint");
    CHECK(stage.answer_to(blocked(480, 500)) == "result");
    CHECK(stage.answer_to(blocked(0, 10)) == "result");           // blocked already
}
