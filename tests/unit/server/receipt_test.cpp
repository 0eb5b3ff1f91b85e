// SPDX-License-Identifier: MIT
// A receipt settles once, when the last one lets go, and says whether it has been elsewhere.
#include "server/receipt.h"

#include <thread>

#include <catch2/catch.hpp>

using server::Receipt;

TEST_CASE("a receipt settles when the last reference goes, on whatever thread") {
    int settled = 0;
    bool travelled = true;
    auto receipt = std::make_shared<Receipt>([&](bool went) { ++settled; travelled = went; });
    {
        const Receipt::Scope because{receipt};
        CHECK(Receipt::current() == receipt);
        const Receipt::Scope something_else{nullptr};
        CHECK(Receipt::current() == nullptr);
    }
    CHECK(Receipt::current() == nullptr);
    CHECK(settled == 0);
    receipt.reset();
    CHECK(settled == 1);
    CHECK_FALSE(travelled);
}

// What another thread has to say of the stanza is in a mailbox by then, whoever lets go last.
TEST_CASE("a receipt that was handed to another thread says so, wherever it settles") {
    for (const bool last_is_here : {true, false}) {
        int settled = 0;
        bool travelled = false;
        auto receipt = std::make_shared<Receipt>([&](bool went) { ++settled; travelled = went; });
        receipt->travels();
        std::thread other{[copy = receipt]() mutable {
            copy->travels();   // once more, from there, at the same time
            copy.reset();
        }};
        receipt->travels();
        if (!last_is_here) receipt.reset();
        other.join();
        receipt.reset();
        CHECK(settled == 1);
        CHECK(travelled);
    }
}
