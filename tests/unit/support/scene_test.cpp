// SPDX-License-Identifier: MIT
// The grammar of scenes.
#include "tests/support/scene.h"

#include <catch2/catch.hpp>

using namespace tests;

namespace {

constexpr std::string_view cast =
    "# A title\n"
    "[Server]\n\tlimits.devices: 5\n"
    "[Client] Romeo\n\tjid: romeo@localhost/orchard\n\tpassword: secret\n"
    "[Client] Romeo's phone\n\tjid: romeo@localhost\n\tpassword: other\n\tdevice: phone\n"
    "[Raw] Tybalt\n\ttls: direct\n"
    "-----\n";

Scene parsed(std::string_view steps) {
    const auto scene = parse_scene("x.scs", std::string{cast} + std::string{steps});
    if (!scene) FAIL(scene.error());
    return *scene;
}

}  // namespace

TEST_CASE("a scene has a title, a cast and settings") {
    const Scene scene = parsed("Romeo connects\n");
    CHECK(scene.title == "A title");
    CHECK(scene.cast.size() == 3);
    CHECK(scene.role("Romeo")->resource() == "orchard");
    CHECK(scene.role("Romeo's phone")->device == "phone");
    CHECK(scene.role("Tybalt")->is_direct_tls);
    CHECK(scene.settings == std::vector<std::pair<std::string, std::string>>{{"limits.devices", "5"}});
    CHECK(scene.domains() == std::vector<std::string>{"localhost"});
}

TEST_CASE("every verb is understood") {
    struct Row {
        const char* text;
        Verb verb;
        std::vector<std::string> who;
    };
    const Row row = GENERATE(values<Row>({
        {"Romeo connects", Verb::connect, {"Romeo"}},
        {"Romeo's phone disconnects", Verb::disconnect, {"Romeo's phone"}},
        {"Romeo loses his connection", Verb::lose_connection, {"Romeo"}},
        {"Romeo fails to log in", Verb::fail_to_log_in, {"Romeo"}},
        {"Romeo sends:\n\t<presence/>", Verb::send, {"Romeo"}},
        {"Tybalt sends byte by byte:\n\t<a/>", Verb::send_byte_by_byte, {"Tybalt"}},
        {"Romeo and Romeo's phone receive:\n\t<presence/>", Verb::receive, {"Romeo", "Romeo's phone"}},
        {"Romeo, Romeo's phone and Tybalt receive nothing", Verb::receive_nothing, {"Romeo", "Romeo's phone", "Tybalt"}},
        {"Everyone receives nothing", Verb::receive_nothing, {"Romeo", "Romeo's phone", "Tybalt"}},
        {"Romeo's phone's stream is closed", Verb::stream_is_closed, {"Romeo's phone"}},
        {"Tybalt starts TLS", Verb::start_tls, {"Tybalt"}},
        {"Romeo stops reading", Verb::stop_reading, {"Romeo"}},
        {"Romeo reads again", Verb::read_again, {"Romeo"}},
        {"Romeo forgets what he received", Verb::forget, {"Romeo"}},
        {"after 10 minutes", Verb::wait, {}},
        {"the server restarts", Verb::restart, {}},
    }));
    INFO(row.text);
    const Scene scene = parsed(std::string{row.text} + "\n");
    REQUIRE(scene.steps.size() == 1);
    CHECK(scene.steps[0].verb == row.verb);
    CHECK(scene.steps[0].who == row.who);
}

TEST_CASE("a block is what is indented") {
    const Scene scene = parsed("Romeo sends:\n\t<a>\n\t\t<b/>\n\n\t</a>\n\n# a comment\nafter 1 day\n");
    REQUIRE(scene.steps.size() == 2);
    CHECK(scene.steps[0].text == "<a>\n\t<b/>\n\n</a>");
    CHECK(scene.steps[1].duration == std::chrono::hours{24});
}

TEST_CASE("what is no scene is refused with its line") {
    const std::string steps = GENERATE(as<std::string>{}, "Mercutio connects\n", "Romeo dances\n", "Romeo sends:\n", "after ten minutes\n",
                                       "after 10 parsecs\n", "\t<presence/>\n", "");
    INFO(steps);
    const auto scene = parse_scene("x.scs", std::string{cast} + steps);
    REQUIRE_FALSE(scene);
    CHECK(scene.error().starts_with("x.scs:"));
    CHECK_FALSE(parse_scene("x.scs", "# no line\n"));
    CHECK_FALSE(parse_scene("x.scs", "[Client] Romeo\n\tpassword: x\n-----\n"));
    CHECK_FALSE(parse_scene("x.scs", "[Client] Romeo\n\tjid: x@y\n\tpassword: x\n\tcolour: red\n-----\n"));
}
