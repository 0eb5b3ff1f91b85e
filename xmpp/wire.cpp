// SPDX-License-Identifier: MIT
// Bytes ready to be sent: count, length and bytes in one allocation.
#include "xmpp/wire.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace xmpp {

Wire::Wire(std::string_view bytes) {
    void* memory = std::malloc(sizeof(Block) + bytes.size());
    if (!memory) throw std::bad_alloc{};
    block_ = new (memory) Block{1, static_cast<std::uint32_t>(bytes.size())};
    if (!bytes.empty()) std::memcpy(block_->bytes(), bytes.data(), bytes.size());
}

void Wire::release() {
    if (block_ && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        block_->~Block();
        std::free(block_);
    }
}

}  // namespace xmpp
