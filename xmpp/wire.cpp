// SPDX-License-Identifier: MIT
// Bytes ready to be sent: count, length and bytes in one allocation.
#include "xmpp/wire.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace xmpp {

void Wire::hold(std::initializer_list<std::string_view> pieces) {
    std::size_t size = 0;
    for (const std::string_view piece : pieces) size += piece.size();
    void* memory = std::malloc(sizeof(Block) + size);
    if (!memory) throw std::bad_alloc{};
    block_ = new (memory) Block{1, static_cast<std::uint32_t>(size)};
    char* at = block_->bytes();
    for (const std::string_view piece : pieces) {
        if (!piece.empty()) std::memcpy(at, piece.data(), piece.size());
        at += piece.size();
    }
}

void Wire::release() {
    if (block_ && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        block_->~Block();
        std::free(block_);
    }
}

}  // namespace xmpp
