// SPDX-License-Identifier: MIT
// A module's own typed field in every Session or Account, so that neither grows a member per XEP. Slots are laid out
// while modules are constructed; each Session then holds one block for all of them.
#pragma once

#include <cassert>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace server {

class SlotLayout {
public:
    template <class T>
    std::size_t add() {
        static_assert(alignof(T) <= alignof(std::max_align_t));
        const std::size_t offset = (size_ + alignof(T) - 1) / alignof(T) * alignof(T);
        size_ = offset + sizeof(T);
        slots_.push_back({offset, [](void* at) { ::new (at) T(); }, [](void* at) { static_cast<T*>(at)->~T(); }});
        return offset;
    }

private:
    friend class Slots;
    struct Slot { std::size_t offset; void (*construct)(void*); void (*destroy)(void*); };
    std::vector<Slot> slots_;
    std::size_t size_ = 0;
};

class Slots {
public:
    explicit Slots(const SlotLayout& layout) : layout_{layout}, block_{new std::byte[layout.size_]} {
        for (const auto& slot : layout_.slots_) slot.construct(block_.get() + slot.offset);
    }
    ~Slots() {
        for (const auto& slot : layout_.slots_) slot.destroy(block_.get() + slot.offset);
    }
    Slots(const Slots&) = delete;
    Slots& operator=(const Slots&) = delete;
    void* at(std::size_t offset) { return block_.get() + offset; }

private:
    const SlotLayout& layout_;
    std::unique_ptr<std::byte[]> block_;
};

// A slot's value that most owners never set: as small as a pointer until then.
template <class T>
class Seldom {
public:
    const T& get() const {
        static const T unset{};
        return value_ ? *value_ : unset;
    }
    T& set() {
        if (!value_) value_ = std::make_unique<T>();
        return *value_;
    }

private:
    std::unique_ptr<T> value_;
};

// SessionSlot<bool> enabled_{host};  …  enabled_[session] = true;
template <class Owner, class T>
class Slot {
public:
    explicit Slot(SlotLayout& layout) : offset_{layout.add<T>()} {}
    T& operator[](Owner& owner) const { return *std::launder(static_cast<T*>(owner.slots().at(offset_))); }

private:
    std::size_t offset_;
};

}  // namespace server
