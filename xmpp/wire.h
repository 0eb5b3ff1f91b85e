// SPDX-License-Identifier: MIT
// Bytes ready to be sent, made once and shared by every session that they go to. Immutable; any thread may hold one.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <utility>

namespace xmpp {

class Wire {
public:
    Wire() = default;
    explicit Wire(std::string_view bytes) { hold({bytes}); }
    // Pieces, one behind the other. One allocation: count, length and bytes together.
    template <class... P>
    Wire(std::string_view first, std::string_view second, P... more) { hold({first, second, more...}); }
    Wire(const Wire& other) : block_{other.block_} { retain(); }
    Wire(Wire&& other) noexcept : block_{std::exchange(other.block_, nullptr)} {}
    Wire& operator=(Wire other) noexcept { std::swap(block_, other.block_); return *this; }
    ~Wire() { release(); }

    std::string_view bytes() const { return block_ ? std::string_view{block_->bytes(), block_->size} : std::string_view{}; }
    std::size_t size() const { return block_ ? block_->size : 0; }
    explicit operator bool() const { return block_ != nullptr; }

private:
    struct Block {
        std::atomic<std::uint32_t> references;
        std::uint32_t size;
        char* bytes() { return reinterpret_cast<char*>(this + 1); }
    };
    void hold(std::initializer_list<std::string_view> pieces);
    void retain() { if (block_) block_->references.fetch_add(1, std::memory_order_relaxed); }
    void release();
    Block* block_ = nullptr;
};

}  // namespace xmpp
