// SPDX-License-Identifier: MIT
// The generator counts what is there, however the bytes come in.
#include <catch2/catch.hpp>

#include "tests/bench/meter.h"
#include "tests/bench/scan.h"

using namespace bench;
using namespace std::chrono_literals;

namespace {

using Counts = std::array<int, 7>;

Counts counted(std::initializer_list<std::string_view> pieces) {
    Counts counts{};
    std::string tail;
    for (const std::string_view piece : pieces)
        scan(tail, piece, [&](Tag tag, std::string_view) { ++counts[static_cast<std::size_t>(tag)]; });
    CHECK(tail.empty());
    return counts;
}

constexpr std::string_view stream =
    "<message from='a@b/c' type='chat' id='1'><body>x &lt;presence/&gt; > y</body></message>"
    "<r xmlns='urn:xmpp:sm:3'/><presence from='a@b/c'><show>away</show></presence><a h='3' "
    "xmlns='urn:xmpp:sm:3'/>"
    "<iq type='result' id='2'/><messages/></stream:stream>";

}  // namespace

TEST_CASE("the tags of stanzas are counted, wherever the bytes are cut") {
    // In the order of Tag.
    const Counts expected{2, 1, 1, 1, 1, 1, 1};
    CHECK(counted({stream}) == expected);
    for (std::size_t cut = 1; cut < stream.size(); ++cut)
        CHECK(counted({stream.substr(0, cut), stream.substr(cut)}) == expected);
}

TEST_CASE("an attribute is found by its whole name") {
    const std::string_view tag = "message xml:id='0' fid='1' id=\"2\" to='it id= x'";
    CHECK(attribute(tag, "id") == "2");
    CHECK(attribute(tag, "to") == "it id= x");
    CHECK(attribute(tag, "from").empty());
    CHECK(attribute("a h=", "h").empty());
}

TEST_CASE("latencies are told within two per cent") {
    Latencies latencies;
    for (int i = 1; i <= 1000; ++i) latencies.add(i * 1ms);
    CHECK(latencies.milliseconds_at(0.5) == Approx(500).epsilon(0.02));
    CHECK(latencies.milliseconds_at(0.99) == Approx(990).epsilon(0.02));
    CHECK(latencies.worst_milliseconds() == 1000);
    CHECK(latencies.count() == 1000);
}
